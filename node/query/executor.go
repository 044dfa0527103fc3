package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// Database is what queries see of a database: its name and its retention policies, of which one is the default.
type Database struct {
	Name     string
	Policies []RetentionPolicy
}

// RetentionPolicy is one bucket under its InfluxQL name.
type RetentionPolicy struct {
	Name string
	// Duration is how long data is kept; 0 is for ever.
	Duration           time.Duration
	ShardGroupDuration time.Duration
	Default            bool
}

// defaultPolicy returns the name of the default retention policy, "" when there is none.
func (d *Database) defaultPolicy() string {
	for i := range d.Policies {
		if d.Policies[i].Default {
			return d.Policies[i].Name
		}
	}
	return ""
}

// Databases is how queries find data.
type Databases interface {
	// Databases returns all databases, sorted by name.
	Databases(ctx context.Context) ([]Database, error)
	// Reader returns the data of one retention policy, ErrNoPolicy when there is none of that name.
	Reader(ctx context.Context, database, policy string) (store.Reader, error)
}

// ErrNoPolicy tells that a database has no retention policy of a name.
var ErrNoPolicy = errors.New("retention policy not found")

// Access is what a statement wants to do with data.
type Access uint8

// The kinds of Access.
const (
	Read Access = iota
	Write
)

// Authorizer says who may do what. Its errors are the statement's.
type Authorizer interface {
	// Authorize returns nil when the request may access the retention policy of the database. With policy "" it asks for
	// any one of the database's.
	Authorize(ctx context.Context, database, policy string, a Access) error
}

// Deletion is data to be deleted: what is of the measurement, within the range, and matches all tags.
type Deletion struct {
	Range store.TimeRange
	// Measurement is "" for all measurements.
	Measurement string
	Tags        []store.TagMatcher
}

// Deleter deletes data of one retention policy, durably.
type Deleter interface {
	Delete(ctx context.Context, database, policy string, d Deletion) error
}

// Options are what an Executor works with. Only Databases is required.
type Options struct {
	Databases Databases
	// Deleter is for DELETE, DROP SERIES and DROP MEASUREMENT; without one they are not implemented.
	Deleter Deleter
	// CreateDatabase is called for CREATE DATABASE; without one the statement succeeds and does nothing.
	CreateDatabase func(ctx context.Context, s *influxql.CreateDatabaseStatement) error
	Limits         Limits
	// Clock is what now() means to a request that does not say.
	Clock  func() time.Time
	Logger *slog.Logger
}

// Executor executes requests. It may be used by many goroutines at once.
type Executor struct{ o Options }

// NewExecutor returns an executor. A zero Limits means DefaultLimits.
func NewExecutor(o Options) *Executor {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Executor{o}
}

// Request is one request for the execution of statements.
type Request struct {
	// Query is one or more statements, separated by semicolons.
	Query string
	// Database and Policy are where measurements are looked for that do not say. Policy "" is the database's default.
	Database, Policy string
	// Params is a JSON object with the values of $names, or nil.
	Params []byte
	// Now is what now() means; zero is the executor's clock.
	Now time.Time
	// ReadOnly refuses statements that change something.
	ReadOnly bool
	// Authorizer may be nil: everything is allowed.
	Authorizer Authorizer
}

// errNotExecuted is what statements after a failed one answer.
var errNotExecuted = errors.New("not executed")

// Execute runs the statements of r in turn and writes their results to out. A statement that fails is a result with an
// error, and those after it are not executed. The error that Execute returns is a *ParseError when nothing was executed,
// and otherwise out's own error or that of ctx.
func (e *Executor) Execute(ctx context.Context, r Request, out Encoder) error {
	statements, err := parse(r.Query, r.Params, e.o.Limits.MaxQueryBytes)
	if err != nil {
		return err
	}
	if e.o.Limits.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, e.o.Limits.Timeout, errTimeout)
		defer cancel()
	}
	if r.Now.IsZero() {
		r.Now = e.o.Clock()
	}
	r.Now = r.Now.UTC()
	var failed bool
	for i, s := range statements {
		if err := out.Begin(i); err != nil {
			return err
		}
		serr := errNotExecuted
		x := &execution{Executor: e, r: &r, out: out, budget: budget{limits: e.o.Limits}}
		if !failed {
			serr = x.recoverStatement(ctx, s)
			failed = serr != nil
		}
		if x.outErr != nil {
			return x.outErr
		}
		if err := out.End(x.messages, serr); err != nil {
			return err
		}
		if errors.Is(context.Cause(ctx), context.Canceled) {
			return ctx.Err()
		}
	}
	return out.Close()
}

// execution is the run of one statement.
type execution struct {
	*Executor
	r        *Request
	out      Encoder
	outErr   error // what out failed with; it ends the request
	budget   budget
	messages []Message
	db       string // the statement's default database
}

// emit hands a series to the encoder.
func (x *execution) emit(s *Series) error {
	if err := x.out.Series(s); err != nil {
		x.outErr = err
		return err
	}
	return nil
}

// recoverStatement executes s. A panic is a defect of this package that must not take the node along: it is logged with
// its stack and becomes the statement's error.
func (x *execution) recoverStatement(ctx context.Context, s influxql.Statement) (err error) {
	defer func() {
		if p := recover(); p != nil {
			x.o.Logger.Error("query panicked", "query", influxql.Sanitize(x.r.Query), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: the query failed unexpectedly: %v", p)
		}
	}()
	return timeoutError(ctx, x.statement(ctx, s), x.o.Limits)
}

// statement executes s.
func (x *execution) statement(ctx context.Context, s influxql.Statement) error {
	x.db = x.r.Database
	if d, ok := s.(influxql.HasDefaultDatabase); ok && x.db == "" {
		x.db = d.DefaultDatabase()
	}
	switch s := s.(type) {
	case *influxql.SelectStatement:
		return x.selectStatement(ctx, s)
	case *influxql.ExplainStatement:
		return x.explain(ctx, s)
	case *influxql.ShowDatabasesStatement:
		return x.showDatabases(ctx)
	case *influxql.ShowRetentionPoliciesStatement:
		return x.showRetentionPolicies(ctx, s)
	case *influxql.ShowMeasurementsStatement:
		return x.showMeasurements(ctx, s)
	case *influxql.ShowTagKeysStatement:
		return x.showTagKeys(ctx, s)
	case *influxql.ShowTagValuesStatement:
		return x.showTagValues(ctx, s)
	case *influxql.ShowFieldKeysStatement:
		return x.showFieldKeys(ctx, s)
	case *influxql.ShowSeriesStatement:
		return x.showSeries(ctx, s)
	case *influxql.ShowSeriesCardinalityStatement:
		return x.showSeriesCardinality(ctx, s)
	case *influxql.ShowMeasurementCardinalityStatement:
		return x.showMeasurementCardinality(ctx, s)
	case *influxql.DeleteSeriesStatement:
		return x.deleteSeries(ctx, s)
	case *influxql.DropSeriesStatement:
		return x.dropSeries(ctx, s)
	case *influxql.DropMeasurementStatement:
		return x.dropMeasurement(ctx, s)
	case *influxql.CreateDatabaseStatement:
		return x.createDatabase(ctx, s)
	}
	return fmt.Errorf("not implemented: %s", statementName(s))
}

// createDatabase calls the node's hook.
func (x *execution) createDatabase(ctx context.Context, s *influxql.CreateDatabaseStatement) error {
	if x.o.CreateDatabase == nil {
		return nil
	}
	return x.o.CreateDatabase(ctx, s)
}

// authorize asks the request's authorizer.
func (x *execution) authorize(ctx context.Context, database, policy string, a Access) error {
	if x.r.Authorizer == nil {
		return nil
	}
	return x.r.Authorizer.Authorize(ctx, database, policy, a)
}

// errDatabaseRequired is the answer to a statement that names no database.
var errDatabaseRequired = errors.New("database name required")

// database finds a database by its name.
func (x *execution) database(ctx context.Context, name string) (*Database, error) {
	if name == "" {
		return nil, errDatabaseRequired
	}
	all, err := x.o.Databases.Databases(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing databases: %w", err)
	}
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("database not found: %s", name)
}
