package object

import (
	"bytes"
	"strings"
)

// WaiveComment begins a comment that waives a finding about the object of its document. The comment is a line of its own that begins at
// its first column, where no text of a value can be.
const WaiveComment = "# holdfast-guard:waive"

// Comment is a comment that begins with WaiveComment.
type Comment struct {
	// Document is the place of the document that it is about, from 0: the one that it is in, or, where that has nothing but comments, the
	// next one.
	Document int `json:"document,omitempty"`
	Line     int `json:"line"`
	// Text is what follows WaiveComment.
	Text string `json:"text"`
}

// MaxComments bounds the comments of a file that are read. Those beyond are not.
const MaxComments = 1000

// comments reads those of a file of YAML.
func (f *File) comments(data []byte) {
	if !bytes.Contains(data, []byte(WaiveComment)) {
		return
	}
	number := 0
	var open []Comment // of documents without content
	for before, text := range Documents(data) {
		found, empty := commentsOf(text, before)
		open = append(open, found...)
		for i := range open {
			open[i].Document = number
		}
		if !empty {
			f.Comments, open = append(f.Comments, open...), nil
		}
		number++
	}
	f.Comments = append(f.Comments, open...)
	f.Comments = f.Comments[:min(len(f.Comments), MaxComments)]
}

// commentsOf returns those of a document that begins after some lines, and says whether it has nothing else.
func commentsOf(text []byte, before int) (found []Comment, empty bool) {
	empty = true
	line := before
	for row := range strings.Lines(string(text)) {
		line++
		if rest, ok := strings.CutPrefix(row, WaiveComment); ok {
			found = append(found, Comment{Line: line, Text: strings.TrimSpace(rest)})
		}
		row = strings.TrimSpace(strings.TrimPrefix(row, "---"))
		empty = empty && (row == "" || row[0] == '#')
	}
	return found, empty
}
