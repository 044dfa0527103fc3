package query

import (
	"time"

	"github.com/holdfast-telemetry/holdfast/node/store"
)

// Series is rows of one series of a result.
type Series struct {
	Name string
	// Tags are the GROUP BY tags, sorted by key.
	Tags []store.Tag
	// Columns names Times, when there are times, and then Values.
	Columns []string
	// Times are the rows' times, in ns since the epoch; nil when the result has no time column.
	Times []int64
	// Location is where Times are written when they are written as text; nil is UTC.
	Location *time.Location
	// Values has one column for each name after that of Times, each of Rows values.
	Values []Column
	// Rows is the number of rows.
	Rows int
}

// Message is a remark about a statement that did not fail.
type Message struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

// Encoder writes results. The executor calls Begin, then Series any number of times, then End for each statement in
// turn, and Close once. An error of an Encoder ends the request. What Series is given is valid until it returns.
// Consecutive calls of Series with the same name, tags and columns are one series.
type Encoder interface {
	Begin(statement int) error
	Series(s *Series) error
	// End ends the statement. err is why it failed, nil when it did not.
	End(messages []Message, err error) error
	Close() error
}

// textSeries is a series without time, as SHOW statements answer.
func textSeries(name string, columns []string, rows [][]any) *Series {
	s := &Series{Name: name, Columns: columns, Values: make([]Column, len(columns)), Rows: len(rows)}
	for i := range columns {
		s.Values[i].Any = make([]any, len(rows))
		for j, row := range rows {
			s.Values[i].Any[j] = row[i]
		}
	}
	return s
}
