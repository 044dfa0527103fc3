package catalog

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

func TestPermissionCoverage(t *testing.T) {
	const o1, o2, b1, b2 id.ID = 1, 2, 11, 12
	p := func(a Action, kind string, org, i id.ID) Permission {
		return Permission{a, Resource{Type: kind, OrgID: org, ID: i}}
	}
	for _, c := range []struct {
		name       string
		have, want Permission
		covers     bool
	}{
		{"all cover one", p(Read, BucketsType, 0, 0), p(Read, BucketsType, o1, b1), true},
		{"all cover all", p(Read, BucketsType, 0, 0), p(Read, BucketsType, 0, 0), true},
		{"another action", p(Read, BucketsType, 0, 0), p(Write, BucketsType, o1, b1), false},
		{"another type", p(Read, BucketsType, 0, 0), p(Read, OrgsType, o1, o1), false},
		{"organisation covers its own", p(Read, BucketsType, o1, 0), p(Read, BucketsType, o1, b1), true},
		{"organisation covers itself", p(Read, BucketsType, o1, 0), p(Read, BucketsType, o1, 0), true},
		{"organisation does not cover another", p(Read, BucketsType, o1, 0), p(Read, BucketsType, o2, b1), false},
		{"organisation does not cover all", p(Read, BucketsType, o1, 0), p(Read, BucketsType, 0, 0), false},
		{"organisation does not cover one of unknown organisation", p(Read, BucketsType, o1, 0), p(Read, BucketsType, 0, b1), false},
		{"one covers itself", p(Read, BucketsType, o1, b1), p(Read, BucketsType, o1, b1), true},
		{"one without organisation covers itself", p(Read, BucketsType, 0, b1), p(Read, BucketsType, o1, b1), true},
		{"one does not cover another", p(Read, BucketsType, o1, b1), p(Read, BucketsType, o1, b2), false},
		{"one does not cover its organisation", p(Read, BucketsType, o1, b1), p(Read, BucketsType, o1, 0), false},
		{"one does not cover all", p(Read, BucketsType, 0, b1), p(Read, BucketsType, 0, 0), false},
		{"an identifier of another organisation reaches nothing", p(Read, BucketsType, o1, b2), p(Read, BucketsType, o2, b2), false},
		{"organisation by identifier", p(Read, OrgsType, 0, o1), p(Read, OrgsType, o1, o1), true},
		{"organisation by organisation", p(Read, OrgsType, o1, 0), p(Read, OrgsType, o1, o1), true},
		{"the two are the same", p(Read, OrgsType, 0, o1), p(Read, OrgsType, o1, 0), true},
		{"organisation by another", p(Read, OrgsType, o2, 0), p(Read, OrgsType, o1, o1), false},
		{"organisation is not all", p(Write, OrgsType, o1, 0), p(Write, OrgsType, 0, 0), false},
		{"users of an organisation are no users", p(Write, UsersType, o1, 0), p(Write, UsersType, 0, b1), false},
		{"instance of an organisation is no instance", p(Read, InstanceType, o1, 0), p(Read, InstanceType, 0, 0), false},
	} {
		if got := c.have.Covers(c.want); got != c.covers {
			t.Errorf("%s: %s covers %s: %v", c.name, c.have, c.want, got)
		}
	}
}

func TestPermissionText(t *testing.T) {
	for want, p := range map[string]Permission{
		"write:orgs/0000000000000001/buckets/000000000000000b": {Write, Resource{Type: BucketsType, OrgID: 1, ID: 11}},
		"read:orgs/0000000000000001/buckets":                   {Read, Resource{Type: BucketsType, OrgID: 1}},
		"read:buckets":                                         {Read, Resource{Type: BucketsType}},
		"write:orgs/0000000000000001":                          {Write, Resource{Type: OrgsType, OrgID: 1, ID: 1}},
	} {
		if p.String() != want {
			t.Errorf("%s, want %s", p, want)
		}
	}
}

func TestRolesOfAnOrganisation(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	reader := must[User](t)(f.CreateUser("reader", ""))
	must[User](t)(f.AddMember(Member{OrgID: s.Org.ID, UserID: reader.ID, Role: MemberRole}))
	secret, _, err := f.CreateSession(reader.ID)
	if err != nil {
		t.Fatal(err)
	}
	p := must[*Principal](t)(f.AuthenticateSession(secret))
	for _, c := range []struct {
		action  Action
		kind    string
		org, i  id.ID
		allowed bool
	}{
		{Read, BucketsType, s.Org.ID, s.Bucket.ID, true}, {Write, BucketsType, s.Org.ID, s.Bucket.ID, false},
		{Read, OrgsType, s.Org.ID, s.Org.ID, true}, {Write, OrgsType, s.Org.ID, s.Org.ID, false},
		{Read, BucketsType, 99, 0, false}, {Read, InstanceType, 0, 0, false},
		{Write, UsersType, 0, reader.ID, true}, {Write, UsersType, 0, s.User.ID, false},
	} {
		if got := p.Allows(c.action, c.kind, c.org, c.i); got != c.allowed {
			t.Errorf("a member's %s of %s: %v", c.action, c.kind, got)
		}
	}
	must[User](t)(f.AddMember(Member{OrgID: s.Org.ID, UserID: reader.ID, Role: Owner}))
	p = must[*Principal](t)(f.AuthenticateSession(secret))
	if !p.Allows(Write, BucketsType, s.Org.ID, s.Bucket.ID) || p.Allows(Write, UsersType, 0, s.User.ID) || p.Allows(Write, OrgsType, 0, 0) {
		t.Error("an owner has the wrong permissions")
	}
	must[User](t)(f.AddMember(Member{OrgID: s.Org.ID, UserID: reader.ID, Role: MemberRole}))
	if owners := must[[]User](t)(f.Members(s.Org.ID, Owner)); len(owners) != 2 {
		t.Error("an owner who was added as a member is no owner any more")
	}
	if err := f.RemoveMember(Member{OrgID: s.Org.ID, UserID: reader.ID, Role: Owner}); err != nil {
		t.Fatal(err)
	}
	if p = must[*Principal](t)(f.AuthenticateSession(secret)); p.Allows(Read, BucketsType, s.Org.ID, s.Bucket.ID) {
		t.Error("one who left may still read")
	}
}
