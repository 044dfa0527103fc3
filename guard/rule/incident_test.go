package rule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

// The commit of the article: app02 comes to cluster01, and its Application and its project have the name of app01.
const (
	control = "env/cluster01/argocd/yml"
	app02   = "env/cluster01/app02/yml"
)

// incident is a repository with app01 alone, and the workload of app02, to which nothing points yet.
func incident() files {
	f := article(1, 1)
	f.workload(app02, "app02", "app02-cluster01")
	return f
}

func wrong(namespace string) (application_, project string) {
	return application("app01-cluster01", "app01-cluster01", app02, namespace), appProject("app01-cluster01", namespace)
}

func TestTheIncidentIsRefusedAndItsFirstLineNamesTheLoss(t *testing.T) {
	bad, badProject := wrong("app02-cluster01")
	good, goodProject := application("app01-cluster01", "app01-cluster01", "env/cluster01/app01/yml", "app01-cluster01"), appProject("app01-cluster01", "app01-cluster01")
	own := control + "/argoproj.io.v1alpha1.Application-argocd.app01-cluster01.yaml"
	ownProject := control + "/argoproj.io.v1alpha1.AppProject-argocd.app01-cluster01.yaml"
	noNamespace := strings.Replace(bad, "  namespace: argocd\n", "", 1)
	for name, c := range map[string]struct {
		files files
		at    string // where the last definition is
	}{
		"in one file of many documents": {files{own: "", ownProject: "", control + "/apps.yaml": goodProject + "---\n" + good + "---\n" + badProject + "---\n" + bad}, control + "/apps.yaml:57"},
		"in a file of its own":          {files{control + "/z.yaml": bad, control + "/zz.yaml": badProject}, control + "/z.yaml:1"},
		"without the namespace":         {files{control + "/z.yaml": noNamespace}, control + "/z.yaml:1"},
		"in another version of the API": {files{control + "/z.yaml": strings.Replace(bad, "v1alpha1", "v1beta1", 1)}, control + "/z.yaml:1"},
		"as JSON":                       {files{control + "/z.json": `{"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":"app01-cluster01"},"spec":{"project":"app01-cluster01","destination":{"server":"https://kubernetes.default.svc","namespace":"app02-cluster01"},"source":{"repoURL":"` + repository + `","path":"` + app02 + `"},"syncPolicy":{"automated":{"prune":true}}}}`}, control + "/z.json:1"},
		"in a list":                     {files{control + "/z.yaml": "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(bad), "\n", "\n  ") + "\n"}, control + "/z.yaml:4"},
	} {
		t.Run(name, func(t *testing.T) {
			r := incident().with(c.files).check(t)
			if len(r.Findings) == 0 {
				t.Fatal("nothing was found")
			}
			first := r.Findings[0]
			want := "argocd/app01-cluster01 is defined twice; the last one, " + c.at + ", makes it read env/cluster01/app02/yml: everything of app01 (6 objects, among them "
			if first.Rule != "HG001" || !strings.HasPrefix(first.Message, want) || !strings.HasSuffix(first.Message, ") would be pruned") || first.Loss != 6 {
				t.Errorf("the first line is\n%s\nwant\n%s", line(first), want)
			}
			if !strings.Contains(first.Message, "apps/StatefulSet app01-cluster01/app01-db") {
				t.Errorf("it does not name the StatefulSet: %s", first.Message)
			}
		})
	}
}

func TestTheHarmlessOrderOfTwoDefinitionsIsRefusedAndSaysSo(t *testing.T) {
	bad, _ := wrong("app02-cluster01")
	r := incident().with(files{control + "/a.yaml": bad}).check(t)
	if len(r.Findings) == 0 || r.Findings[0].Rule != "HG001" || !strings.Contains(r.Findings[0].Message, "stands, and what "+control+"/a.yaml:1 says is never applied; if their order changes, everything of app01 would be pruned") {
		t.Errorf("the first line is %s", lines(r)[0])
	}
}

func TestANameOfOneAndAFolderOfAnotherIsRefusedWithoutADuplicate(t *testing.T) {
	bad, _ := wrong("app02-cluster01")
	own := control + "/argoproj.io.v1alpha1.Application-argocd.app01-cluster01.yaml"
	r := incident().with(files{own: bad}).check(t)
	for _, f := range r.Findings {
		if f.Rule == "HG010" && strings.Contains(f.Message, "argocd/app01-cluster01 reads env/cluster01/app02/yml, and has the name of what reads env/cluster01/app01/yml") {
			return
		}
	}
	t.Errorf("found are\n%s", strings.Join(lines(r), "\n"))
}

func TestInstancesOfArgoCDMayHaveTheSameNames(t *testing.T) {
	f := article(2, 2).with(files{"guard.yaml": "instance: env/(cluster)\nconventions:\n- path: env/(cluster)/(app)/yml\n  application: (app)\n  project: (app)\n"})
	for path, text := range f {
		for c := range 2 {
			cluster := fmt.Sprintf("-cluster%02d", c+1)
			if strings.HasPrefix(path, "env/") {
				delete(f, path)
				path = strings.ReplaceAll(path, cluster, "")
				f[path] = strings.ReplaceAll(text, cluster, "")
				text = f[path]
			}
		}
	}
	for path, text := range f { // each cluster applies its own root
		if strings.Contains(path, "Application-argocd.root-") {
			delete(f, path)
			cluster := text[strings.Index(text, "root-")+len("root-"):][:len("cluster01")]
			f["env/"+cluster+"/root/argoproj.io.v1alpha1.Application-argocd.root.yaml"] = strings.Replace(text, "root-"+cluster, "root", 1)
			f["env/"+cluster+"/root/argoproj.io.v1alpha1.AppProject-argocd.root.yaml"] = f["bootstrap/argoproj.io.v1alpha1.AppProject-argocd.root.yaml"]
		}
	}
	delete(f, "bootstrap/argoproj.io.v1alpha1.AppProject-argocd.root.yaml")
	if r := f.check(t); len(errorsOf(r)) != 0 {
		t.Errorf("errors are\n%s", strings.Join(errorsOf(r), "\n"))
	}
	delete(f, "guard.yaml")
	if r := f.check(t); len(r.Findings) == 0 || r.Findings[0].Rule != "HG001" {
		t.Error("one instance with the same name twice passes")
	}
}

func lines(r rule.Result) []string {
	all := []string{}
	for _, f := range r.Findings {
		all = append(all, f.Severity.String()+" "+line(f))
	}
	if len(all) == 0 {
		all = append(all, "nothing")
	}
	return all
}

func TestARepositoryThatFollowsTheConventionsIsClean(t *testing.T) {
	r := article(6, 3).check(t)
	if len(r.Findings) != 0 {
		t.Errorf("found are\n%s", strings.Join(lines(r), "\n"))
	}
}
