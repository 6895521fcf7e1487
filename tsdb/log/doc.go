// Package log keeps records in files before anything else is done with them: what it has acknowledged is read back
// after any crash.
//
// A log is a folder of segments, files named by a number of 16 digits. A segment is a row of frames:
//
//	uint32 mark A7 C3 5E 19, by which the next frame is found behind a damaged one
//	uint32 length of the packed record, big endian, 1 to MaxRecord
//	uint32 CRC32C of the packed record
//	byte[] the record, packed by snappy
//
// Damage costs the frames that it touches and no others: its bytes are set aside in a file NUMBER-OFFSET.damaged and
// reading goes on at the next whole frame. A process never writes to a segment of another: Open begins a new one. Only
// Remove deletes.
package log
