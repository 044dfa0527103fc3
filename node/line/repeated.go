package line

import "strconv"

// fewFields is up to how many fields are compared in pairs to find a repeated key.
const fewFields = 12

// keptNames bounds the memory that is kept for finding repeated keys in points of many fields.
const keptNames = 4096

// repeated reports whether two of the fields have the same key.
func (b *Batch) repeated(fields []Field) bool {
	if len(fields) > fewFields {
		return b.repeatedOfMany(fields)
	}
	for i := 1; i < len(fields); i++ {
		for j := range i {
			if string(fields[i].Key) == string(fields[j].Key) {
				return true
			}
		}
	}
	return false
}

func (b *Batch) repeatedOfMany(fields []Field) bool {
	defer b.forgetNames()
	for i := range fields {
		name := stringOf(fields[i].Key)
		if _, ok := b.names[name]; ok {
			return true
		}
		b.name(name, i)
	}
	return false
}

// keepLast removes the fields behind b.fields[:first] whose key comes again, in favour of the last value, which takes the place
// of the first. texts are the fields as written, and are rearranged alike; nil when nobody wants them.
func (b *Batch) keepLast(first int, texts [][]byte) [][]byte {
	defer b.forgetNames()
	fields := b.fields[first:]
	n := 0
	for i := range fields {
		name := stringOf(fields[i].Key)
		at, ok := b.names[name]
		if !ok {
			at = n
			b.name(name, n)
			n++
		}
		fields[at] = fields[i]
		if texts != nil {
			texts[at] = texts[i]
		}
	}
	b.fields = b.fields[:first+n]
	if texts != nil {
		texts = texts[:n]
	}
	return texts
}

func (b *Batch) name(name string, index int) {
	if b.names == nil {
		b.names = make(map[string]int)
	}
	b.names[name] = index
}

func (b *Batch) forgetNames() {
	if len(b.names) > keptNames {
		b.names = nil
		return
	}
	clear(b.names)
}

// dropRepeated removes the repeated keys from the fields behind b.fields[:first], whose text is text, and returns the text
// of what is left.
func (b *Batch) dropRepeated(first int, text []byte) []byte {
	var texts [][]byte
	for i := 0; i < len(text); {
		end := fieldEnd(text, i)
		texts = append(texts, text[i:end])
		i = end + 1
	}
	texts = b.keepLast(first, texts)
	start := b.room(len(text))
	for i, t := range texts {
		if i > 0 {
			b.bytes = append(b.bytes, ',')
		}
		b.bytes = append(b.bytes, t...)
	}
	return b.since(start)
}

// fieldEnd returns the end of the field that begins at i in a valid field section.
func fieldEnd(text []byte, i int) int {
	i = nameEnd(text, i, true) + 1
	if text[i] == '"' {
		return closingQuote(text, i+1) + 1
	}
	for i < len(text) && text[i] != ',' {
		i++
	}
	return i
}

// checkKeys checks the length of a series key together with each key of the field section text.
func checkKeys(series, text []byte) string {
	const separator = 4
	for i := 0; i < len(text); {
		if reason := checkLength(len(series) + separator + nameEnd(text, i, true) - i); reason != "" {
			return reason
		}
		i = fieldEnd(text, i) + 1
	}
	return ""
}

func checkLength(n int) string {
	if n <= MaxKeyLength {
		return ""
	}
	return errKeyLength + ": " + strconv.Itoa(n) + " > " + strconv.Itoa(MaxKeyLength)
}
