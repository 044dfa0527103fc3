package object

import "iter"

// Documents returns the texts of a YAML file's documents in order, each with the number of the lines before it.
func Documents(data []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for before := 0; ; {
			text, lines, rest := firstDocument(data)
			if !yield(before, text) || rest == nil {
				return
			}
			data, before = rest, before+lines
		}
	}
}
