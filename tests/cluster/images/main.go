// Command images makes the images that the test cluster cannot pull: no registry is asked for anything.
// usage: images BUSYBOX OUTDIR
//
// pause.tar is what holds each pod's namespaces; busybox.tar is a shell for tests. Both are archives that
// "ctr images import" takes. The same input gives the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

type object = map[string]any

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: images BUSYBOX OUTDIR")
	}
	busybox, out := os.Args[1], os.Args[2]
	layer := root(busybox)
	image(filepath.Join(out, "pause.tar"), "localhost/pause:dev", layer,
		object{"Entrypoint": []string{"/bin/busybox", "tail", "-f", "/dev/null"}})
	image(filepath.Join(out, "busybox.tar"), "localhost/busybox:dev", layer,
		object{"Cmd": []string{"/bin/sh"}})
}

// root is a layer with busybox under all its names, and little else.
func root(busybox string) []byte {
	program, err := os.ReadFile(busybox)
	check(err)
	list, err := exec.Command(busybox, "--list").Output()
	check(err)
	var a archive
	a.open()
	for _, dir := range []string{"bin", "data", "dev", "etc", "proc", "sys"} {
		a.add(tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}, nil)
	}
	a.add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	a.file("bin/busybox", 0o755, program)
	for _, name := range strings.Fields(string(list)) {
		if name != "busybox" {
			a.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	a.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"))
	a.file("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	return a.close()
}

// image writes an image of one layer.
func image(path, reference string, layer []byte, config object) {
	digest := fmt.Sprintf("%x", sha256.Sum256(layer))
	config["Env"] = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/sbin"}
	config["WorkingDir"] = "/"
	described, err := json.Marshal(object{
		"architecture": runtime.GOARCH, "os": "linux", "config": config,
		"rootfs":  object{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
		"history": []object{{"created_by": "images"}},
	})
	check(err)
	name := fmt.Sprintf("%x.json", sha256.Sum256(described))
	manifest, err := json.Marshal([]object{{
		"Config": name, "RepoTags": []string{reference}, "Layers": []string{digest + "/layer.tar"},
	}})
	check(err)
	var a archive
	a.open()
	a.file(digest+"/layer.tar", 0o644, layer)
	a.file(name, 0o644, described)
	a.file("manifest.json", 0o644, manifest)
	check(os.WriteFile(path, a.close(), 0o644))
}

type archive struct {
	bytes  bytes.Buffer
	writer *tar.Writer
}

func (a *archive) open() { a.writer = tar.NewWriter(&a.bytes) }

func (a *archive) add(header tar.Header, content []byte) {
	header.Size = int64(len(content))
	header.Format = tar.FormatGNU
	check(a.writer.WriteHeader(&header))
	_, err := a.writer.Write(content)
	check(err)
}

func (a *archive) file(name string, mode int64, content []byte) {
	a.add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}, content)
}

func (a *archive) close() []byte {
	check(a.writer.Close())
	return a.bytes.Bytes()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
