package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Rules are what a rules file says. They do not change.
type Rules struct {
	rules   []rule
	issuers map[string]*Issuer
}

// rule grants identities of one kind repositories.
type rule struct {
	name         string
	kind         string
	issuer       string          // of OIDC
	claims       map[string]glob // of OIDC, never empty
	order        []string        // the names of claims, as they are written
	token        string          // of Token
	certificate  glob            // of Certificate
	repositories []glob
}

// Decision says whether something may be signed, and why.
type Decision struct {
	Allowed    bool
	Repository string // the name that was decided on, with registry and without shorthands
	Rule       string // the rule that allowed it
	Reason     string // why nothing did, for the log: it names rules
}

// Err is nil when it is allowed, and else an *Error whose text for the client names no rule.
func (d Decision) Err() error {
	if d.Allowed {
		return nil
	}
	return &Error{
		Status: http.StatusForbidden,
		Client: "this identity may not have images of this repository signed; the log of the signing service says why",
		Cause:  errors.New(d.Reason),
	}
}

// maxReasons bounds how many rules a refusal tells of.
const maxReasons = 5

// Decide says whether an identity may have images of a repository signed: when one rule says so. The name is completed first, so that
// every way to write it gets the same answer. What no rule allows is refused.
func (r *Rules) Decide(id Identity, repository string) Decision {
	name, err := ParseRepository(repository)
	if err != nil {
		return Decision{Reason: err.Error()}
	}
	var reasons []string
	for i := range r.rules {
		reason := r.rules[i].refuses(id, name)
		if reason == "" {
			return Decision{Allowed: true, Repository: name, Rule: r.rules[i].name}
		}
		if r.rules[i].kind == id.Kind {
			reasons = append(reasons, fmt.Sprintf("rule %s: %s", r.rules[i].name, reason))
		}
	}
	return Decision{Repository: name, Reason: fmt.Sprintf("no rule allows %s %.200q the repository %s%s", id.Kind, id.Name, name, told(reasons))}
}

// told are reasons as the end of a sentence.
func told(reasons []string) string {
	more := ""
	if n := len(reasons) - maxReasons; n > 0 {
		reasons, more = reasons[:maxReasons], fmt.Sprintf("; and %d more", n)
	}
	if len(reasons) == 0 {
		return ": there is no rule for this kind of identity"
	}
	return ": " + strings.Join(reasons, "; ") + more
}

// refuses says why the rule does not allow it; "" when it does.
func (r *rule) refuses(id Identity, repository string) string {
	if id.Kind != r.kind {
		return "it is for another kind of identity"
	}
	switch r.kind {
	case OIDC:
		if id.Issuer != r.issuer {
			return "it is for another issuer"
		}
		for _, name := range r.order {
			value, ok := id.Claims[name]
			if !ok {
				return fmt.Sprintf("the token has no claim %s that is a string", name)
			}
			if !r.claims[name].match(value) {
				return fmt.Sprintf("the claim %s is %.100q", name, value)
			}
		}
	case Token:
		if id.Name != r.token {
			return "it is for another token"
		}
	case Certificate:
		if !slices.ContainsFunc(id.Names, r.certificate.match) {
			return "it is for another certificate"
		}
	default:
		return "it is for no kind of identity"
	}
	reason := "it does not have the repository"
	for _, g := range r.repositories {
		bound, err := g.bind(id.Claims)
		if err != nil {
			reason = err.Error()
			continue
		}
		if bound.match(repository) {
			return ""
		}
	}
	return reason
}

// verify identifies the bearer of a JWT by the issuer that it names.
func (r *Rules) verify(ctx context.Context, token string) (Identity, error) {
	claimed, err := claimedIssuer(token)
	if err != nil {
		return Identity{}, unauthenticated("the token is neither a static token nor a JWT", "%w", err)
	}
	issuer, ok := r.issuers[claimed]
	if !ok {
		return Identity{}, unauthenticated("the token's issuer is not accepted", "the token's issuer %.200q is not among those of the rules", claimed)
	}
	return issuer.Verify(ctx, token)
}
