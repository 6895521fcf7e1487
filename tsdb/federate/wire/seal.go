package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// A question that comes by way of another agent has a proof that a controller asks, and the answer is sealed: both by
// AES-256-GCM with a key that the shard has told controllers over mutual TLS. Who is in between learns what is asked, and can
// neither ask by itself nor read, change, swap or shorten an answer.
const (
	// keyLife is how long a shard seals by a key, and how long it takes questions by it afterwards.
	keyLife = time.Hour
	// keyUse is how long after it was told a controller asks by a key: it is still taken then.
	keyUse = keyLife / 2
	// maxApart is how far apart the clocks of a controller and a shard may be, or how long a question may have been kept.
	maxApart   = 5 * time.Minute
	keyBytes   = 32
	tagBytes   = 16
	sealedMore = 12 + tagBytes // what sealing adds: a nonce and a tag
)

// keys are those of one shard.
type keys struct {
	secret [keyBytes]byte
	now    func() time.Time

	mu       sync.Mutex
	known    map[uint64]cipher.AEAD
	admitted admitted
}

func newKeys(now func() time.Time) *keys {
	k := &keys{now: now, known: map[uint64]cipher.AEAD{}}
	_, _ = rand.Read(k.secret[:]) // it never fails
	return k
}

// number is that of the key of now.
func (k *keys) number() uint64 { return uint64(k.now().Unix()) / uint64(keyLife/time.Second) }

// key is that of a number.
func (k *keys) key(number uint64) []byte {
	of := hmac.New(sha256.New, k.secret[:])
	of.Write(binary.BigEndian.AppendUint64([]byte("novacron shard key\n"), number))
	return of.Sum(nil)
}

// errNoKey is that a question is sealed by a key that is too old, or of the shard before it was started again.
var errNoKey = errors.New("the question is not sealed by a key of this shard: ask it directly")

// sealer is the cipher of a key that still holds.
func (k *keys) sealer(number uint64) (cipher.AEAD, error) {
	now := k.number()
	if number != now && number+1 != now {
		return nil, errNoKey
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.known[number]; known != nil {
		return known, nil
	}
	if len(k.known) > 1 {
		clear(k.known)
	}
	made, err := newSealer(k.key(number))
	if err == nil {
		k.known[number] = made
	}
	return made, err
}

func newSealer(key []byte) (cipher.AEAD, error) {
	if len(key) != keyBytes {
		return nil, fmt.Errorf("a key of %d bytes, want %d", len(key), keyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// questionData is what a proof is about.
func questionData(question []byte, asked int64) []byte {
	digest := sha256.Sum256(question)
	return append(binary.BigEndian.AppendUint64([]byte("novacron question\n"), uint64(asked)), digest[:]...)
}

// prove makes a proof.
func prove(by cipher.AEAD, data []byte) []byte { return by.Seal(nil, nil, nil, data) }

// clockAdvice ends the error of a question whose time is not that of the shard.
const clockAdvice = "correct the clocks"

// admit checks a proof.
func (k *keys) admit(number uint64, question []byte, asked int64, proof []byte) (*sealed, error) {
	by, err := k.sealer(number)
	if err != nil {
		return nil, err
	}
	if apart := k.now().Sub(time.UnixMilli(asked)); apart.Abs() > maxApart {
		return nil, fmt.Errorf("the question is from %s ago by the clock here, at most %s are taken: %s", apart.Round(time.Second), maxApart, clockAdvice)
	}
	if _, err := by.Open(nil, nil, proof, questionData(question, asked)); err != nil {
		return nil, errNoKey
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.admitted.once(proof, asked, k.now()); err != nil {
		return nil, err
	}
	return newSealed(by, proof), nil
}

// sealed is an answer on its way, piece by piece: each is bound to the one before, so that none can be left out, come twice, or
// be of another answer.
type sealed struct {
	by     cipher.AEAD
	data   []byte // what each piece is of: the proof, and the tag of the piece before
	buffer []byte
}

func newSealed(by cipher.AEAD, proof []byte) *sealed {
	data := append([]byte("novacron answer\n"), proof...)
	return &sealed{by: by, data: append(data, make([]byte, tagBytes)...)}
}

// errChanged is that a piece is not what the shard sealed.
var errChanged = errors.New("a piece of an answer that came by another host was changed on its way")

// passed notes a piece, and gives it back.
func (s *sealed) passed(piece []byte) []byte {
	copy(s.data[len(s.data)-tagBytes:], piece[len(piece)-tagBytes:])
	return piece
}

// message seals a message.
func (s *sealed) message(m proto.Message) (piece []byte, err error) {
	if s.buffer, err = (proto.MarshalOptions{}).MarshalAppend(append(s.buffer[:0], 0), m); err != nil {
		return nil, errMarshal(err)
	}
	return s.passed(s.by.Seal(nil, nil, s.buffer, s.data)), nil
}

// last seals the end.
func (s *sealed) last(failed error) ([]byte, error) {
	text, err := lastText(failed)
	if err != nil {
		return nil, err
	}
	return s.passed(s.by.Seal(nil, nil, append([]byte{flagLast}, text...), s.data)), nil
}

// open gives the flags of a piece and what is in it, which holds until the next one.
func (s *sealed) open(piece []byte) (flags byte, content []byte, err error) {
	if s.buffer, err = s.by.Open(s.buffer[:0], nil, piece, s.data); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errChanged, err)
	}
	s.passed(piece)
	if len(s.buffer) == 0 {
		return 0, nil, errors.New("a piece of an answer is empty")
	}
	return s.buffer[0], s.buffer[1:], nil
}
