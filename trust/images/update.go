package images

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v3"
)

// Resolve says which digest a tag names now.
type Resolve func(ctx context.Context, tag name.Tag) (digest string, err error)

// Change is an entry whose tag names another image than when it was reviewed.
type Change struct {
	Image
	// Digest is what the tag names now.
	Digest string
}

// Update asks what the tags of a list name now, and returns the list's text with those digests, and what has changed. Nothing but digests and
// reviewers are touched: who reviewed the old image has not seen the new one, so reviewed-by becomes empty, by which Check fails until
// somebody has. Entries without a tag stay as they are.
func Update(ctx context.Context, l *List, resolve Resolve) ([]byte, []Change, error) {
	lines := bytes.SplitAfter(l.Text, []byte("\n"))
	var changes []Change
	for _, i := range l.Images {
		if i.Tag == "" {
			continue
		}
		digest, err := resolve(ctx, i.Reference.Context().Tag(i.Tag))
		if err != nil {
			return nil, nil, fmt.Errorf("%s:%d: asking what %s:%s names: %w", i.File, i.Line, i.Reference.Context(), i.Tag, err)
		}
		if digest == i.Reference.DigestStr() {
			continue
		}
		if _, err := name.NewDigest(i.Reference.Context().String()+"@"+digest, name.WeakValidation); err != nil {
			return nil, nil, fmt.Errorf("%s:%d: the registry says that %s:%s names %.100q, which is no digest", i.File, i.Line, i.Reference.Context(), i.Tag, digest)
		}
		if err := replace(lines, i.reference, i.Reference.DigestStr(), digest); err != nil {
			return nil, nil, fmt.Errorf("%s:%d: %w", i.File, i.Line, err)
		}
		if i.ReviewedBy != "" {
			quoted := ""
			if i.review.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
				quoted = `""`
			}
			if err := replace(lines, i.review, i.ReviewedBy, quoted); err != nil {
				return nil, nil, fmt.Errorf("%s:%d: %w", i.File, i.Line, err)
			}
		}
		changes = append(changes, Change{i, digest})
	}
	return bytes.Join(lines, nil), changes, nil
}

// replace changes a text within the value of a node, which must be on one line.
func replace(lines [][]byte, n *yaml.Node, old, text string) error {
	line := lines[n.Line-1]
	// Columns count characters.
	at := 0
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(line[at:])
		at += size
	}
	i := bytes.Index(line[at:], []byte(old))
	if i < 0 {
		return fmt.Errorf("the value at line %d is written over several lines: write it on one", n.Line)
	}
	i += at
	lines[n.Line-1] = append(append(bytes.Clone(line[:i]), text...), line[i+len(old):]...)
	return nil
}
