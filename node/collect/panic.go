package collect

import (
	"fmt"
	"runtime"
)

// PanicError is a panic of a plugin that was recovered.
type PanicError struct {
	Value any
	Stack string // of the goroutine that panicked, its innermost 4 KiB
}

func newPanic(value any) *PanicError {
	stack := make([]byte, 4<<10)
	return &PanicError{Value: value, Stack: string(stack[:runtime.Stack(stack, false)])}
}

// Error returns the panic's value without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("the plugin panicked: %v", e.Value) }
