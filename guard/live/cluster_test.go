package live

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// api answers as an API server does on bad days, which a real one does not do when it is asked to: e2e/guard has the good ones.
type api struct {
	mu     sync.Mutex
	items  map[string][]map[string]any // by resource
	expire int                         // how many second pages have expired
	lists  map[string]int
	broken map[string]string // what it answers to a list
	bad    map[string]bool
}

// served are the kinds of the tests.
var served = []struct{ version, kind, resource string }{
	{"v1", "Namespace", "namespaces"}, {"v1", "ConfigMap", "configmaps"}, {"v1", "Secret", "secrets"}, {"v1", "PersistentVolumeClaim", "persistentvolumeclaims"},
	{"v1", "PersistentVolume", "persistentvolumes"}, {"apps/v1", "StatefulSet", "statefulsets"}, {"argoproj.io/v1alpha1", "Application", "applications"},
	{"argoproj.io/v1alpha1", "ApplicationSet", "applicationsets"}, {"argoproj.io/v1alpha1", "AppProject", "appprojects"},
}

func newAPI() *api {
	return &api{items: make(map[string][]map[string]any), lists: make(map[string]int), bad: make(map[string]bool)}
}

func (a *api) add(resource, namespace, name string, more map[string]any) {
	body := map[string]any{"metadata": map[string]any{"namespace": namespace, "name": name, "uid": fmt.Sprintf("%s-%s-%s", resource, namespace, name)}}
	for key, value := range more {
		if metadata, ok := value.(map[string]any); ok && key == "metadata" {
			for k, v := range metadata {
				body["metadata"].(map[string]any)[k] = v
			}
			continue
		}
		body[key] = value
	}
	a.items[resource] = append(a.items[resource], body)
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodGet || r.URL.Query().Has("watch") {
		http.Error(w, "only reading is permitted", http.StatusTeapot)
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/api" || r.URL.Path == "/apis" || len(parts) == 2 && parts[0] == "api" || len(parts) == 3 && parts[0] == "apis":
		a.discover(w, parts)
	case strings.HasSuffix(r.URL.Path, "/namespaces/argocd/configmaps/"+settingsName):
		answer(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": settingsName}, "data": map[string]any{}})
	default:
		a.list(w, r, parts[len(parts)-1])
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client says what it got
}

// fails answers as an API server that does not do what it is asked to.
func fails(w http.ResponseWriter, code int32, reason metav1.StatusReason) {
	kind := metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	answer(w, int(code), metav1.Status{TypeMeta: kind, Status: "Failure", Code: code, Reason: reason, Message: string(reason)})
}

func (a *api) discover(w http.ResponseWriter, parts []string) {
	switch {
	case len(parts) == 1 && parts[0] == "api":
		answer(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case len(parts) == 1:
		groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for _, name := range []string{"apps/v1", "argoproj.io/v1alpha1", "metrics.example.org/v1"} {
			group, version, _ := strings.Cut(name, "/")
			v := metav1.GroupVersionForDiscovery{GroupVersion: name, Version: version}
			groups.Groups = append(groups.Groups, metav1.APIGroup{Name: group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		}
		answer(w, http.StatusOK, groups)
	default:
		version := strings.Join(parts[1:], "/")
		list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version}
		for _, s := range served {
			if s.version == version {
				list.APIResources = append(list.APIResources, metav1.APIResource{
					Name: s.resource, Kind: s.kind, Namespaced: s.kind != "Namespace" && s.kind != "PersistentVolume", Verbs: metav1.Verbs{"get", "list", "watch"},
				})
			}
		}
		if len(list.APIResources) == 0 {
			fails(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
			return
		}
		answer(w, http.StatusOK, list)
	}
}

func (a *api) list(w http.ResponseWriter, r *http.Request, resource string) {
	a.lists[resource]++
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	switch {
	case a.breaks(w, resource):
		return
	case a.bad[resource]:
		fails(w, http.StatusForbidden, metav1.StatusReasonForbidden)
		return
	case limit == 0 || limit > page:
		fails(w, http.StatusBadRequest, "NoLimit")
		return
	case from > 0 && a.expire > 0:
		a.expire--
		fails(w, http.StatusGone, metav1.StatusReasonExpired)
		return
	}
	all := a.items[resource]
	to := min(len(all), from+limit)
	metadata := map[string]any{"resourceVersion": "1"}
	if to < len(all) {
		metadata["continue"] = strconv.Itoa(to)
	}
	kind, version := "PartialObjectMetadata", "meta.k8s.io/v1"
	for _, s := range served {
		if s.resource == resource && !strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
			kind, version = s.kind, s.version
		}
	}
	items := make([]any, 0, to-from)
	for _, item := range all[from:to] {
		item["apiVersion"], item["kind"] = version, kind
		items = append(items, item)
	}
	answer(w, http.StatusOK, map[string]any{"apiVersion": version, "kind": kind + "List", "metadata": metadata, "items": items})
}

// breaks answers with what is no list, where it is told to.
func (a *api) breaks(w http.ResponseWriter, resource string) bool {
	text, ok := a.broken[resource]
	if ok {
		_, _ = w.Write([]byte(text)) // the client says what it got
	}
	return ok
}

// ask reads one cluster, and others beside it.
func ask(t *testing.T, a *api, o Options, others ...Cluster) (*State, error) {
	t.Helper()
	return Read(t.Context(), append([]Cluster{{Name: "here", Config: serve(t, a)}}, others...), o)
}

func serve(t *testing.T, a *api) *rest.Config {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL, QPS: -1}
}

// runs is an Application with the objects that its status names.
func runs(name, server string, resources ...any) map[string]any {
	return map[string]any{
		"spec": map[string]any{
			"destination": map[string]any{"server": server, "namespace": "app01"},
			"source":      map[string]any{"repoURL": "https://example.org/infra.git", "path": name},
		},
		"status": map[string]any{"resources": resources},
	}
}

func named(group, kind, name string) map[string]any {
	return map[string]any{"group": group, "version": "v1", "kind": kind, "namespace": "app01", "name": name, "status": "Synced"}
}

func tracking(id string) map[string]any {
	return map[string]any{"metadata": map[string]any{"annotations": map[string]any{argo.TrackingID: id, "kubectl.kubernetes.io/last-applied-configuration": "swordfish"}}}
}

func TestObjectsOfMorePagesThanOneAreAllReadThoughAPageExpires(t *testing.T) {
	a := newAPI()
	const many = 2*page + 7
	for n := range many {
		a.add("configmaps", "app01", fmt.Sprintf("c-%d", n), tracking(fmt.Sprintf("app01:/ConfigMap:app01/c-%d", n)))
	}
	a.expire = 2
	s, err := ask(t, a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(s.Objects(argo.Server)); got != many {
		t.Errorf("there are %d objects, want %d", got, many)
	}
	for _, o := range s.Objects(argo.Server) {
		if o.Application != app("app01") || !o.Seen || len(o.Annotations) != 1 {
			t.Fatalf("one object is %+v", o)
		}
	}
	a.expire = 100
	if _, err := ask(t, a, Options{}); err == nil || !strings.Contains(err.Error(), "listing configmaps") {
		t.Errorf("pages that always expire: %v", err)
	}
}

func TestAClusterWithMoreObjectsThanTheLimitIsAnError(t *testing.T) {
	a := newAPI()
	for n := range 20 {
		a.add("configmaps", "app01", fmt.Sprintf("c-%d", n), nil)
	}
	if _, err := ask(t, a, Options{most: 19}); err == nil || !strings.Contains(err.Error(), "more than 19 objects") {
		t.Errorf("%v", err)
	}
}

func TestAnAnswerThatIsNoneIsAnError(t *testing.T) {
	for _, resource := range []string{"persistentvolumeclaims", "configmaps"} { // read whole, and by their metadata
		for _, text := range []string{
			"", "{", "{}", "[]", "<html>", `{"kind":"List","apiVersion":"v1","items":[]}`, `{"kind":"ConfigMapList","apiVersion":"v1","items":[{"kind":"`,
		} {
			a := newAPI()
			a.broken = map[string]string{resource: text}
			if s, err := ask(t, a, Options{}); err == nil || s != nil {
				t.Errorf("%q is taken for an answer: %+v", text, s)
			}
		}
	}
}

func TestKindsThatMayNotBeListedAreAnErrorOnlyWhereApplicationsHaveThem(t *testing.T) {
	a := newAPI()
	a.add("applications", "argocd", "app01", runs("app01", argo.Server, named("", "Secret", "password")))
	a.bad["configmaps"] = true
	s, err := ask(t, a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a.lists["secrets"] > 0 {
		t.Error("Secrets are asked for")
	}
	unknown := strings.Join(s.Unknown(), "\n")
	for _, want := range []string{"configmaps", "Secrets of the cluster here", "metrics.example.org"} {
		if !strings.Contains(unknown, want) {
			t.Errorf("it does not say that %s is not known: %s", want, unknown)
		}
	}
	if s.Reads(argo.Server, object.Kind{Kind: "ConfigMap"}) || s.Reads(argo.Server, secretKind) || !s.Reads(argo.Server, object.Kind{Kind: "Namespace"}) {
		t.Error("it reads what it does not, or does not what it does")
	}
	password := s.find(t, "Secret password")
	if password.Seen || password.Application != app("app01") {
		t.Errorf("the Secret is %+v", password)
	}
	a.add("applications", "argocd", "app02", runs("app02", argo.Server, named("", "ConfigMap", "config")))
	if _, err := ask(t, a, Options{}); err == nil || !strings.Contains(err.Error(), "does not permit to list configmaps") {
		t.Errorf("%v", err)
	}
	delete(a.bad, "configmaps")
	a.bad["statefulsets"] = true
	if _, err := ask(t, a, Options{}); err == nil || !strings.Contains(err.Error(), "statefulsets.apps") {
		t.Errorf("%v", err)
	}
	delete(a.bad, "statefulsets")
	a.bad["secrets"] = true
	if _, err := ask(t, a, Options{Secrets: true}); err == nil || !strings.Contains(err.Error(), "secrets") {
		t.Errorf("%v", err)
	}
}

func TestEveryClusterSaysWhatLivesInItAndOthersAreKnownByStatus(t *testing.T) {
	here, far := newAPI(), newAPI()
	const farServer, lostServer = "https://far.example.org", "https://lost.example.org"
	here.add("applications", "argocd", "app01", runs("app01", farServer+"/", named("apps", "StatefulSet", "db"), named("", "ConfigMap", "gone")))
	here.add("applications", "argocd", "app02", runs("app02", lostServer, named("apps", "StatefulSet", "db")))
	far.add("statefulsets", "app01", "db", map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{argo.TrackingID: "app01:apps/StatefulSet:app01/db", argo.SyncOptions: "Prune=false"}},
		"spec":     map[string]any{"replicas": 2, "template": map[string]any{"spec": "swordfish"}},
	})
	s, err := ask(t, here, Options{}, Cluster{Name: "far", Servers: []string{"far", farServer}, Config: serve(t, far)})
	if err != nil {
		t.Fatal(err)
	}
	only := func(server string) *plan.LiveObject {
		t.Helper()
		all := s.Objects(server)
		if len(all) != 1 {
			t.Fatalf("%s has %d objects", server, len(all))
		}
		return all[0]
	}
	db := only(farServer)
	if !db.Seen || db.Application != app("app01") || db.Annotations[argo.SyncOptions] != "Prune=false" || strings.Contains(fmt.Sprint(db.Body), "swordfish") {
		t.Errorf("the StatefulSet is %+v", db)
	}
	if only("far").UID != db.UID {
		t.Error("the name of the cluster is not its server")
	}
	if lost := only(lostServer); lost.Seen || lost.Application != app("app02") {
		t.Errorf("the StatefulSet of the lost cluster is %+v", lost)
	}
	if unknown := strings.Join(s.Unknown(), "\n"); !strings.Contains(unknown, lostServer) || strings.Contains(unknown, farServer) {
		t.Errorf("not known: %s", unknown)
	}
	down := Cluster{Name: "down", Servers: []string{farServer}, Config: &rest.Config{Host: "http://127.0.0.1:1"}}
	if _, err := ask(t, here, Options{}, down); err == nil || !strings.Contains(err.Error(), "the cluster down") {
		t.Errorf("%v", err)
	}
}
