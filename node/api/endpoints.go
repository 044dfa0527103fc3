package api

import (
	"net/http"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// endpoints are all paths of the API.
func (h *Handler) endpoints() map[string]endpoint {
	all := map[string]endpoint{
		"/health":             get(h.health).as(public),
		"/ready":              get(h.ready).as(public),
		"/ping":               methods(map[string]handlerFunc{http.MethodGet: h.ping, http.MethodHead: h.ping}).as(public),
		"/metrics":            get(h.metricsPage).as(public),
		"/api/v2":             get(h.index).as(public),
		"/api/v2/setup":       methods(map[string]handlerFunc{http.MethodGet: h.setupAllowed, http.MethodPost: h.setup}).as(public),
		"/api/v2/signin":      post(h.signin).as(public),
		"/api/v2/signout":     post(h.signout).as(public),
		"/write":              post(h.writeLegacy).as(legacy),
		"/query":              methods(map[string]handlerFunc{http.MethodGet: h.influxql, http.MethodPost: h.influxql}).as(legacy),
		"/api/v2/write":       post(h.write),
		"/api/v2/delete":      post(h.deletePoints),
		"/api/v2/query":       post(h.flux),
		"/api/v2/config":      get(h.config),
		"/api/v2/resources":   get(h.resources),
		"/api/v2/me":          get(h.me),
		"/api/v2/me/password": methods(map[string]handlerFunc{http.MethodPut: h.setMyPassword, http.MethodPost: h.setMyPassword}),
	}
	h.addOwned(all)
	h.addShared(all)
	h.addReplication(all)
	h.addMissing(all)
	return all
}

// addOwned adds organisations, users and buckets.
func (h *Handler) addOwned(all map[string]endpoint) {
	all["/api/v2/orgs"] = collection(h.listOrgs, h.createOrg)
	all["/api/v2/orgs/{id}"] = single(h.getOrg, h.updateOrg, h.deleteOrg)
	all["/api/v2/orgs/{id}/members"] = h.members(catalog.MemberRole)
	all["/api/v2/orgs/{id}/owners"] = h.members(catalog.Owner)
	all["/api/v2/orgs/{id}/members/{user}"] = methods(map[string]handlerFunc{http.MethodDelete: h.removeMember(catalog.MemberRole)})
	all["/api/v2/orgs/{id}/owners/{user}"] = methods(map[string]handlerFunc{http.MethodDelete: h.removeMember(catalog.Owner)})
	all["/api/v2/orgs/{id}/labels"] = get(h.orgLabels)
	all["/api/v2/users"] = collection(h.listUsers, h.createUser)
	all["/api/v2/users/{id}"] = single(h.getUser, h.updateUser, h.deleteUser)
	all["/api/v2/users/{id}/password"] = methods(map[string]handlerFunc{http.MethodPost: h.setPassword, http.MethodPut: h.setPassword})
	all["/api/v2/buckets"] = collection(h.listBuckets, h.createBucket)
	all["/api/v2/buckets/{id}"] = single(h.getBucket, h.updateBucket, h.deleteBucket)
	all["/api/v2/buckets/{id}/labels"] = get(h.bucketLabels)
}

// addShared adds what gives access: authorizations, v1 users and mappings.
func (h *Handler) addShared(all map[string]endpoint) {
	for _, g := range []grants{h.tokens(), h.legacyUsers()} {
		all[g.path] = collection(h.listAuthorizations(g), h.createAuthorization(g))
		all[g.path+"/{id}"] = single(h.getAuthorization(g), h.updateAuthorization(g), h.deleteAuthorization(g))
	}
	all[legacyAuthorizationsPath+"/{id}/password"] = post(h.setLegacyPassword)
	all["/api/v2/dbrps"] = collection(h.listDBRPs, h.createDBRP)
	all["/api/v2/dbrps/{id}"] = single(h.getDBRP, h.updateDBRP, h.deleteDBRP)
}

// addReplication adds remotes and replications, and what only this node has about them.
func (h *Handler) addReplication(all map[string]endpoint) {
	all["/api/v2/remotes"] = collection(h.listRemotes, h.createRemote)
	all["/api/v2/remotes/{id}"] = single(h.getRemote, h.updateRemote, h.deleteRemote)
	all["/api/v2/replications"] = collection(h.listReplications, h.createReplication)
	all["/api/v2/replications/{id}"] = single(h.getReplication, h.updateReplication, h.deleteReplication)
	all["/api/v2/replications/{id}/validate"] = post(h.validateReplication)
	all[own+"/status"] = get(h.status)
	all[own+"/replications/{id}"] = get(h.replicationStatus)
	all[own+"/replications/{id}/pause"] = post(h.setPaused(true))
	all[own+"/replications/{id}/resume"] = post(h.setPaused(false))
	all[own+"/replications/{id}/dead-letters"] = get(h.deadLetters)
	all[own+"/replications/{id}/dead-letters/retry"] = post(h.retryDeadLetters)
	all[own+"/replications/{id}/dead-letters/purge"] = post(h.purgeDeadLetters)
	all[own+"/replications/{id}/gaps"] = get(h.gaps)
	all[own+"/replications/{id}/fill"] = post(h.fill)
	all[own+"/replications/{id}/resync"] = post(h.resync)
}

// addMissing adds what clients of InfluxDB 2 may ask for and this node does not have.
func (h *Handler) addMissing(all map[string]endpoint) {
	for what, paths := range map[string][]string{
		"tasks are":                   {"/api/v2/tasks", "/api/v2/tasks/{rest...}"},
		"dashboards are":              {"/api/v2/dashboards", "/api/v2/dashboards/{rest...}"},
		"templates are":               {"/api/v2/templates", "/api/v2/templates/{rest...}"},
		"stacks are":                  {"/api/v2/stacks", "/api/v2/stacks/{rest...}"},
		"scripts are":                 {"/api/v2/scripts", "/api/v2/scripts/{rest...}"},
		"Flux is":                     {"/api/v2/query/{rest...}"},
		"labels are":                  {"/api/v2/labels", "/api/v2/labels/{rest...}"},
		"secrets are":                 {"/api/v2/orgs/{id}/secrets", "/api/v2/orgs/{id}/secrets/{rest...}"},
		"members of buckets are":      {"/api/v2/buckets/{id}/members", "/api/v2/buckets/{id}/members/{rest...}"},
		"owners of buckets are":       {"/api/v2/buckets/{id}/owners", "/api/v2/buckets/{id}/owners/{rest...}"},
		"Telegraf configurations are": {"/api/v2/telegrafs", "/api/v2/telegrafs/{rest...}"},
		"scrapers are":                {"/api/v2/scrapers", "/api/v2/scrapers/{rest...}"},
		"variables are":               {"/api/v2/variables", "/api/v2/variables/{rest...}"},
		"checks are":                  {"/api/v2/checks", "/api/v2/checks/{rest...}"},
		"notification rules are":      {"/api/v2/notificationRules", "/api/v2/notificationRules/{rest...}"},
		"notification endpoints are":  {"/api/v2/notificationEndpoints", "/api/v2/notificationEndpoints/{rest...}"},
		"backups over HTTP are":       {"/api/v2/backup/{rest...}", "/api/v2/restore/{rest...}"},
	} {
		refuse := func(http.ResponseWriter, *request) error {
			return failf(catalog.NotImplemented, "%s not supported by this node", what)
		}
		e := methods(map[string]handlerFunc{})
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			e.methods[m] = refuse
		}
		for _, p := range paths {
			all[p] = e
		}
	}
}

func collection(list, create handlerFunc) endpoint {
	return methods(map[string]handlerFunc{http.MethodGet: list, http.MethodPost: create})
}

func single(get, update, remove handlerFunc) endpoint {
	return methods(map[string]handlerFunc{http.MethodGet: get, http.MethodPatch: update, http.MethodDelete: remove})
}
