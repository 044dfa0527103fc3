package resign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/images"
	"github.com/holdfast-telemetry/holdfast/trust/inventory"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

func isConflict(err error) bool { return errors.Is(err, state.ErrConflict) }

// who is the name that the audit log has for the job.
var who = audit.Who{Kind: "service", Name: "resign"}

// item is one image of a pass.
type item struct {
	inventory.Image
	digest name.Digest
	// listed images are others', and their signatures go into a source. Reviewed ones are signed outright. Ours are in our registries.
	listed, reviewed, ours bool
	deployed               bool // a cluster reports it
}

// pass is one under way.
type pass struct {
	*Job
	lease *lease
	keys  *rotation.Record
	until *inventory.Verifier

	mu    sync.Mutex
	done  Progress
	first error
	view  View
}

// run signs what there is to sign. What fails does not keep the rest from being signed.
func (p *pass) run(ctx context.Context) error {
	var err error
	if p.keys, err = p.Keys.Current(ctx); err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	counting, err := usable(p.keys, p.Now())
	if err != nil {
		return err
	}
	p.until = &inventory.Verifier{Reader: p.Reader, Keys: counting, Sources: p.Sources}
	if p.Prepare != nil {
		err = p.Prepare(ctx)
	}
	items, problem := p.find(ctx)
	err = errors.Join(err, problem)
	if len(items) > MaxImages {
		err = errors.Join(err, fmt.Errorf("there are %d images to sign again, and only the first %d are", len(items), MaxImages))
		items = items[:MaxImages]
	}
	p.done.Total = len(items)
	stop := p.tell()
	p.each(ctx, items)
	stop()
	p.lease.progress(p.done)
	if p.done.Failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d images were not signed again; the first: %w", p.done.Failed, p.done.Total, p.first))
	}
	if ctx.Err() == nil {
		p.show()
	}
	return err
}

// tell says now and then how far it is, until the function that it returns is called.
func (p *pass) tell() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Second):
			}
			now := p.progress()
			p.Logger.Info("signing again", "done", now.Done(), "images", now.Total, "failed", now.Failed)
		}
	}()
	return func() { close(done); <-ended }
}

func (p *pass) progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// each handles all images, several at once.
func (p *pass) each(ctx context.Context, items []item) {
	next := make(chan item)
	var workers sync.WaitGroup
	for range p.Workers {
		workers.Go(func() {
			for i := range next {
				p.item(ctx, i)
			}
		})
	}
	for _, i := range items {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
}

// item handles one image.
func (p *pass) item(ctx context.Context, i item) {
	found := Found{Image: i.Reference, Pods: i.Pods, First: i.First, Exempt: i.Exempt}
	var err error
	switch {
	case i.listed || i.reviewed && i.ours:
		err = p.sign(ctx, i, &found)
	case i.ours:
		err = p.renew(ctx, i, &found)
	default:
		err = p.look(ctx, i, &found)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, signature.ErrNotSigned):
		p.done.Lapsed++
		found.Verdict, found.Problem = Refused, err.Error()
	case err != nil:
		p.done.Failed++
		found.Verdict, found.Problem = Unknown, err.Error()
		if p.first == nil {
			p.first = err
		}
	case found.written:
		p.done.Written++
	default:
		p.done.Fresh++
	}
	p.lease.progress(p.done)
	if i.deployed {
		p.view.Images = append(p.view.Images, found)
	}
}

// sign has an image signed, unless the key that signs now has.
func (p *pass) sign(ctx context.Context, i item, found *Found) error {
	r := p.Signer.Renew(ctx, who, i.Reference, i.listed, always)
	if r.Error != "" {
		return fmt.Errorf("%s: %s", i.Reference, r.Error)
	}
	found.Verdict, found.Key, found.Until, found.written = Admitted, r.Key, r.NotAfter, r.Written
	return nil
}

// always leaves a signature by the key that signs now as it is, however old it is: it counts until the key ends.
const always = 10 * 365 * 24 * time.Hour

// renew signs an image that only a cluster speaks of, as long as a key that counts has signed it.
func (p *pass) renew(ctx context.Context, i item, found *Found) error {
	if err := p.look(ctx, i, found); err != nil {
		return err
	}
	if active := p.keys.Active(); active == nil || found.Key == active.ID.String() {
		return nil
	}
	return p.sign(ctx, i, found)
}

// look finds out until when an image is admitted.
func (p *pass) look(ctx context.Context, i item, found *Found) error {
	by, until, err := p.until.Until(ctx, i.digest, i.ours)
	if err != nil {
		return fmt.Errorf("%s: %w", i.Reference, err)
	}
	found.Verdict, found.Key, found.Until = Admitted, by.String(), until
	return nil
}

// find returns the images of a pass. Its error is of what could not be read; what was read is signed all the same.
func (p *pass) find(ctx context.Context) ([]item, error) {
	all := map[string]*item{}
	err := p.lists(all)
	for _, place := range p.Places {
		reading, cancel := context.WithTimeout(ctx, 2*time.Minute)
		d, failed := place.Read(reading)
		cancel()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("what runs in %s: %w", place.Name, failed))
			d = p.remembered(place, d) // it still runs, as far as is known
		}
		if d == nil {
			continue
		}
		p.known[place.Name] = d
		p.add(all, place, d)
	}
	var items []item
	for _, i := range all {
		items = append(items, *i)
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.Reference, b.Reference) })
	return items, err
}

// remembered is what a place had, with what could be read of it now.
func (p *pass) remembered(place Place, now *inventory.Deployed) *inventory.Deployed {
	before := p.known[place.Name]
	if now == nil {
		return before
	}
	if before == nil {
		return now
	}
	merged := *before
	merged.Images = slices.Clone(before.Images)
	for _, i := range now.Images {
		if !slices.ContainsFunc(merged.Images, func(o inventory.Image) bool { return o.Reference == i.Reference }) {
			merged.Images = append(merged.Images, i)
		}
	}
	return &merged
}

// lists adds the images of others that are reviewed and have not expired.
func (p *pass) lists(all map[string]*item) error {
	if len(p.Lists) == 0 {
		return nil
	}
	lists, problems, err := images.ReadAll(p.Lists)
	problems = append(problems, images.Check(lists, p.Now())...)
	for _, problem := range problems {
		if problem.Warning {
			p.Logger.Warn("a list of images", "problem", problem.String())
			continue
		}
		err = errors.Join(err, errors.New(problem.String()))
	}
	for _, i := range images.Signable(lists, p.Now()) {
		reference := i.Reference.Name()
		all[reference] = &item{Image: inventory.Image{Reference: reference}, digest: i.Reference, listed: true}
	}
	return err
}

// add adds what a place has. What is not ours is only looked up, in our own repositories.
func (p *pass) add(all map[string]*item, place Place, d *inventory.Deployed) {
	for _, i := range d.Images {
		known := all[i.Reference]
		if known == nil {
			digest, err := name.NewDigest(i.Reference)
			if err != nil {
				continue
			}
			known = &item{Image: i, digest: digest, ours: p.Ours(digest.Context().Name())}
			if place.Reviewed && !known.ours {
				continue // others' images in manifests are not what is signed by them
			}
			known.Pods = 0
			all[i.Reference] = known
		}
		known.reviewed = known.reviewed || place.Reviewed
		if !place.Reviewed {
			if !known.deployed || known.Exempt && !i.Exempt {
				known.First, known.Exempt = i.First, i.Exempt
			}
			known.deployed = true
			known.Pods += i.Pods
		}
	}
	if !place.Reviewed {
		p.view.Unpinned = append(p.view.Unpinned, d.Unpinned...)
	}
}

var _ Signer = (*endpoint.Sign)(nil)
