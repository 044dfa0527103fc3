package catalog

import (
	"errors"
	"fmt"
)

// Code is the class of an error, in the words of InfluxDB 2's API.
type Code string

// The codes that the catalog and the HTTP surface use.
const (
	Internal             Code = "internal error"
	NotImplemented       Code = "not implemented"
	NotFound             Code = "not found"
	Conflict             Code = "conflict"
	Invalid              Code = "invalid"
	Unprocessable        Code = "unprocessable entity"
	EmptyValue           Code = "empty value"
	Unavailable          Code = "unavailable"
	Forbidden            Code = "forbidden"
	TooManyRequests      Code = "too many requests"
	Unauthorized         Code = "unauthorized"
	MethodNotAllowed     Code = "method not allowed"
	TooLarge             Code = "request too large"
	UnsupportedMediaType Code = "unsupported media type"
)

// Error is an error that a client of the API can act on. Message is for the client and never has a secret in it.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errorf returns an Error. It does not wrap: what is wrapped would reach the client.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first Error in err's chain, Internal when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
