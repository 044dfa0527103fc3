package catalog

import (
	"slices"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Action is what a permission allows to do.
type Action string

// The two actions.
const (
	Read  Action = "read"
	Write Action = "write"
)

// The resource types that the node itself checks.
const (
	AuthorizationsType = "authorizations"
	BucketsType        = "buckets"
	OrgsType           = "orgs"
	UsersType          = "users"
	DBRPType           = "dbrp"
	RemotesType        = "remotes"
	ReplicationsType   = "replications"
	InstanceType       = "instance"
)

// ResourceTypes returns all types that a permission may name. Those that the node does not have are there because
// clients ask for permissions on all of them.
func ResourceTypes() []string {
	return []string{AuthorizationsType, BucketsType, "dashboards", OrgsType, "sources", "tasks", "telegrafs", UsersType, "variables",
		"scrapers", "secrets", "labels", "views", "documents", "notificationRules", "notificationEndpoints", "checks", DBRPType,
		"notebooks", "annotations", RemotesType, ReplicationsType, InstanceType}
}

// Permission allows an action on resources.
type Permission struct {
	Action   Action   `json:"action"`
	Resource Resource `json:"resource"`
}

// Resource names what a permission is for: one resource (ID), all of a type in an organisation (OrgID without ID), or all
// of a type (neither). Name and Org are for people; they decide nothing.
type Resource struct {
	Type  string `json:"type"`
	ID    id.ID  `json:"id,omitzero"`
	OrgID id.ID  `json:"orgID,omitzero"`
	Name  string `json:"name,omitempty"`
	Org   string `json:"org,omitempty"`
}

// String returns the permission in the form `write:orgs/<org>/buckets/<id>`.
func (p Permission) String() string {
	s := string(p.Action) + ":"
	if p.Resource.OrgID != 0 && p.Resource.Type != OrgsType {
		s += "orgs/" + p.Resource.OrgID.String() + "/"
	}
	s += p.Resource.Type
	if p.Resource.ID != 0 {
		s += "/" + p.Resource.ID.String()
	}
	return s
}

// Covers reports whether holding p is enough to do all that q allows. A permission on one resource of a named
// organisation does not reach a resource of another, whatever its identifier.
func (p Permission) Covers(q Permission) bool {
	have, want := p.Resource.normal(), q.Resource.normal()
	switch {
	case p.Action != q.Action || have.Type != want.Type:
		return false
	case have.ID == 0 && have.OrgID == 0:
		return true
	case have.ID != 0 && have.ID != want.ID:
		return false
	case have.OrgID != 0:
		return have.OrgID == want.OrgID
	}
	return true
}

// normal makes the two ways to name an organisation the same: it is its own resource and its own organisation.
func (r Resource) normal() Resource {
	if r.Type == OrgsType {
		if r.ID == 0 {
			r.ID = r.OrgID
		}
		r.OrgID = r.ID
	}
	return r
}

// Check says what is wrong with the words of a permission.
func (p Permission) Check() error {
	if p.Action != Read && p.Action != Write {
		return Errorf(Invalid, "unknown action %q in a permission: it is read or write", p.Action)
	}
	if !slices.Contains(ResourceTypes(), p.Resource.Type) {
		return Errorf(Invalid, "unknown resource type %q for permission", p.Resource.Type)
	}
	return nil
}

// Principal is who a request comes from and what they may do. It must not be changed.
type Principal struct {
	UserID, OrgID id.ID
	// AuthorizationID is the token's or v1 authorization's identifier, 0 for a session.
	AuthorizationID id.ID
	Permissions     []Permission
}

// Allows reports whether the principal may act on a resource of a type: i in org, all of the type in org when i is 0, all of
// the type when org is 0 too.
func (p *Principal) Allows(a Action, resourceType string, org, i id.ID) bool {
	return p.Holds(Permission{Action: a, Resource: Resource{Type: resourceType, OrgID: org, ID: i}})
}

// Holds reports whether one of the principal's permissions covers q.
func (p *Principal) Holds(q Permission) bool {
	for i := range p.Permissions {
		if p.Permissions[i].Covers(q) {
			return true
		}
	}
	return false
}

// OperatorPermissions allow everything.
func OperatorPermissions() []Permission {
	var all []Permission
	for _, t := range ResourceTypes() {
		all = append(all, Permission{Read, Resource{Type: t}}, Permission{Write, Resource{Type: t}})
	}
	return all
}

// rolePermissions are what a member or owner of an organisation may do when signed in with a password.
func rolePermissions(org id.ID, role Role) []Permission {
	var all []Permission
	for _, t := range ResourceTypes() {
		if t == InstanceType {
			continue
		}
		r := Resource{Type: t, OrgID: org}
		all = append(all, Permission{Read, r})
		if role == Owner {
			all = append(all, Permission{Write, r})
		}
	}
	return all
}

// selfPermissions are what users may do with themselves.
func selfPermissions(user id.ID) []Permission {
	r := Resource{Type: UsersType, ID: user}
	return []Permission{{Read, r}, {Write, r}}
}
