package custom

import "net/http"

// Sign puts on a request what a login is proven by: nothing where there is no secret.
func (l Login) Sign(request *http.Request) error { return l.sign(request) }

// Read finds the secret as it is now; what names it in errors.
func (s Secret) Read(what string) ([]byte, error) { return s.read(what) }
