package signature

// WritingNow is how many tags are being written, or waited for.
func WritingNow() int {
	writing.mu.Lock()
	defer writing.mu.Unlock()
	return len(writing.names)
}
