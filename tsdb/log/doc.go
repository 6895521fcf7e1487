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
// Several records that are one batch are written at once and have frames with another mark and a longer header:
//
//	uint32 mark A7 C3 5E E6
//	uint32 length of the packed record, big endian, 1 to MaxRecord
//	uint32 CRC32C of what follows
//	uint32 place of the record in the batch, from 0 on
//	uint32 records of the batch
//	byte[] the record, packed by snappy
//
// A batch that a segment ends with and that is not whole is what a crash left of a write that was never acknowledged:
// nothing of it is read. Where other records are behind it, it was damaged later, and what is whole of it is read.
//
// Damage costs the frames that it touches and no others: its bytes are set aside in a file NUMBER-OFFSET.damaged and
// reading goes on at the next whole frame. A process never writes to a segment of another: Open begins a new one. Only
// Remove deletes; CutTail sets aside.
package log
