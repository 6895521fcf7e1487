package fakecloud

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// The protocols.
const (
	protocolCBOR  = "rpc-v2-cbor"
	protocolQuery = "query"
	protocolEC2   = "ec2"
)

const versionEC2 = "2016-11-15"

// request is a call, whatever its protocol.
type request struct {
	operation, protocol      string
	region, accessKey, token string
	signed                   time.Time
	in                       tree
}

// failure is an error as AWS tells it.
type failure struct {
	status        int
	code, message string
	retryAfter    string
}

// parse reads a request of any of the protocols.
func parse(r *http.Request) (*request, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	req := &request{token: r.Header.Get("X-Amz-Security-Token")}
	req.signed, _ = time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		parts := strings.Split(rest, "/")
		if len(parts) < 4 {
			return nil, errors.New("the signature names no scope")
		}
		req.accessKey, req.region = parts[0], parts[2]
	}
	if r.Header.Get("Smithy-Protocol") == protocolCBOR {
		return req, req.parseCBOR(r.URL.Path, body)
	}
	return req, req.parseForm(string(body))
}

func (req *request) parseCBOR(path string, body []byte) error {
	rest, ok := strings.CutPrefix(path, "/service/GraniteServiceVersion20100801/operation/")
	if !ok {
		return fmt.Errorf("path %q is of no service", path)
	}
	value, err := cbor.Decode(body)
	if err != nil {
		return err
	}
	req.protocol, req.operation = protocolCBOR, rest
	req.in, _ = fromCBOR(value).(tree)
	return nil
}

func (req *request) parseForm(body string) error {
	form, err := url.ParseQuery(body)
	if err != nil {
		return err
	}
	req.operation, req.protocol, req.in = form.Get("Action"), protocolQuery, tree{}
	if form.Get("Version") == versionEC2 {
		req.protocol = protocolEC2
	}
	for name, values := range form {
		req.in.put(strings.Split(name, "."), values[0])
	}
	return nil
}

// write answers.
func (req *request) write(w http.ResponseWriter, out any) {
	if req.protocol == protocolCBOR {
		w.Header().Set("Smithy-Protocol", protocolCBOR)
		w.Header().Set("Content-Type", "application/cbor")
		_, _ = w.Write(cbor.Encode(toCBOR(out)))
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	var b strings.Builder
	if t, generic := out.(tree); generic {
		fmt.Fprintf(&b, "<%[1]sResponse><%[1]sResult>", req.operation)
		writeXML(&b, t)
		fmt.Fprintf(&b, "</%[1]sResult></%[1]sResponse>", req.operation)
	} else if err := xml.NewEncoder(&b).Encode(out); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, b.String())
}

func (f *failure) write(w http.ResponseWriter, req *request) {
	if f.retryAfter != "" {
		w.Header().Set("Retry-After", f.retryAfter)
	}
	switch req.protocol {
	case protocolCBOR:
		w.Header().Set("Smithy-Protocol", protocolCBOR)
		w.Header().Set("Content-Type", "application/cbor")
		w.Header().Set("X-Amzn-Query-Error", f.code+";Sender")
		w.WriteHeader(f.status)
		_, _ = w.Write(cbor.Encode(toCBOR(tree{"__type": "com.amazonaws.cloudwatch#" + f.code, "message": f.message})))
	case protocolEC2:
		w.WriteHeader(f.status)
		_, _ = fmt.Fprintf(w, "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>1</RequestID></Response>", f.code, f.message)
	default:
		w.WriteHeader(f.status)
		_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>", f.code, f.message)
	}
}

// tree is a structure of any protocol: trees, lists, texts, numbers and times.
type tree map[string]any

// put places a value of a form by its path; numbers are places in a list.
func (t tree) put(path []string, value string) {
	if len(path) == 1 {
		t[path[0]] = value
		return
	}
	next, ok := t[path[0]].(tree)
	if !ok {
		next = tree{}
		t[path[0]] = next
	}
	next.put(path[1:], value)
}

// list is a list of structures or texts; of a form with or without «member».
func (t tree) list(name string) []any {
	switch v := t[name].(type) {
	case []any:
		return v
	case tree:
		if members, has := v["member"].(tree); has {
			v = members
		}
		places := slices.SortedFunc(maps.Keys(v), func(a, b string) int { return number(a) - number(b) })
		all := make([]any, 0, len(places))
		for _, place := range places {
			all = append(all, v[place])
		}
		return all
	}
	return nil
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // what is no number comes first
	return n
}

func (t tree) trees(name string) (all []tree) {
	for _, one := range t.list(name) {
		if inner, ok := one.(tree); ok {
			all = append(all, inner)
		}
	}
	return all
}

func (t tree) sub(name string) tree {
	inner, _ := t[name].(tree)
	return inner
}

func (t tree) text(name string) string {
	text, _ := t[name].(string)
	return text
}

func (t tree) number(name string) int {
	switch v := t[name].(type) {
	case string:
		return number(v)
	case int64:
		return int(v)
	}
	return 0
}

func (t tree) time(name string) time.Time {
	switch v := t[name].(type) {
	case time.Time:
		return v
	case string:
		at, _ := time.Parse(time.RFC3339, v)
		return at
	}
	return time.Time{}
}

func fromCBOR(v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Map:
		t := tree{}
		for name, value := range v {
			t[name] = fromCBOR(value)
		}
		return t
	case cbor.List:
		all := make([]any, 0, len(v))
		for _, one := range v {
			all = append(all, fromCBOR(one))
		}
		return all
	case cbor.String:
		return string(v)
	case cbor.Uint:
		return int64(v)
	case *cbor.Tag:
		at, _ := cbor.AsTime(v)
		return at.UTC()
	case cbor.Bool:
		return bool(v)
	}
	return nil
}

func toCBOR(v any) cbor.Value {
	switch v := v.(type) {
	case tree:
		m := cbor.Map{}
		for name, value := range v {
			m[name] = toCBOR(value)
		}
		return m
	case []any:
		l := make(cbor.List, 0, len(v))
		for _, one := range v {
			l = append(l, toCBOR(one))
		}
		return l
	case string:
		return cbor.String(v)
	case float64:
		return cbor.Float64(v)
	case time.Time:
		return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(v.UnixMilli()) / 1e3)}
	}
	return &cbor.Nil{}
}

func writeXML(b *strings.Builder, v any) {
	switch v := v.(type) {
	case tree:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b.WriteString("<" + name + ">")
			writeXML(b, v[name])
			b.WriteString("</" + name + ">")
		}
	case []any:
		for _, one := range v {
			b.WriteString("<member>")
			writeXML(b, one)
			b.WriteString("</member>")
		}
	case string:
		_ = xml.EscapeText(b, []byte(v)) // a builder takes everything
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	case time.Time:
		b.WriteString(v.UTC().Format(time.RFC3339))
	}
}
