package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// storageClass is the class whose claims get a volume here.
	storageClass = "local"
	// provisionerName is written into the class and, as an annotation, into
	// each volume: the volume controller leaves the end of such a volume to us.
	provisionerName = "docmill.dev/local"
	provisionedBy   = "pv.kubernetes.io/provisioned-by"
	// lookInterval is the time between two looks at what the informers hold: no
	// request is sent for a look.
	lookInterval = 100 * time.Millisecond
	// retryDelay is what a failed look waits, so that a stopped API server
	// does not fill the log.
	retryDelay = time.Second
	// resync gives the informers a fresh look now and then.
	resync = 10 * time.Minute
)

// provisioner gives each claim of the class a folder of this machine as its
// volume, lets volumes grow, and removes those that were released.
//
// It compares what there is with what there should be, again and again. A look
// at an outdated copy does no harm: what it then asks for exists already, is
// gone already or conflicts, and the next look sees that.
func provisioner(args []string) int {
	fs := flag.NewFlagSet("provisioner", flag.ExitOnError)
	dir := fs.String("dir", "", "folder of the volumes")
	kubeconfig := fs.String("kubeconfig", os.Getenv("KUBECONFIG"), "how to reach the API server")
	fs.Parse(args)
	if *dir == "" {
		log.Fatal("-dir is missing")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	factory := informers.NewSharedInformerFactory(client, resync)
	p := volumes{dir: *dir, client: client}
	claims := factory.Core().V1().PersistentVolumeClaims().Lister()
	held := factory.Core().V1().PersistentVolumes().Lister()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	log.Printf("volumes of class %s go to %s", storageClass, *dir)
	for {
		wait := lookInterval
		all, err := claims.List(labels.Everything())
		if err != nil {
			log.Fatal(err)
		}
		for _, claim := range all {
			volume, _ := held.Get(claim.Spec.VolumeName)
			if err := p.claim(ctx, claim, volume); err != nil {
				log.Printf("claim %s/%s: %v", claim.Namespace, claim.Name, err)
				wait = retryDelay
			}
		}
		present, err := held.List(labels.Everything())
		if err != nil {
			log.Fatal(err)
		}
		for _, volume := range present {
			if err := p.released(ctx, volume); err != nil {
				log.Printf("volume %s: %v", volume.Name, err)
				wait = retryDelay
			}
		}
		time.Sleep(wait)
	}
}

type volumes struct {
	dir    string
	client kubernetes.Interface
}

// claim makes the volume of a claim that has none, or lets it grow.
func (p volumes) claim(ctx context.Context, claim *core.PersistentVolumeClaim, volume *core.PersistentVolume) error {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName != storageClass {
		return nil
	}
	if claim.DeletionTimestamp != nil {
		return nil
	}
	if claim.Spec.VolumeName == "" {
		return p.create(ctx, claim)
	}
	if volume == nil || volume.Annotations[provisionedBy] != provisionerName {
		return nil
	}
	if claim.Status.Phase != core.ClaimBound {
		return nil
	}
	return p.grow(ctx, claim, volume)
}

func (p volumes) create(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode != core.PersistentVolumeFilesystem {
		return nil
	}
	name := "pvc-" + string(claim.UID)
	if _, err := p.client.CoreV1().PersistentVolumes().Get(ctx, name, meta.GetOptions{}); err == nil {
		return nil // It waits to be bound.
	} else if !apierrors.IsNotFound(err) {
		return err
	}
	path := filepath.Join(p.dir, string(claim.UID))
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// Any user of any pod writes here: fsGroup does nothing to a folder of the host.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	directory := core.HostPathDirectory
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisionerName}},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              storageClass,
			VolumeMode:                    claim.Spec.VolumeMode,
			PersistentVolumeSource: core.PersistentVolumeSource{
				HostPath: &core.HostPathVolumeSource{Path: path, Type: &directory},
			},
			ClaimRef: &core.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
		},
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		log.Printf("claim %s/%s: %s", claim.Namespace, claim.Name, path)
	}
	return err
}

// grow says that a volume is as large as its claim asks for: a folder has no size of its own.
func (p volumes) grow(ctx context.Context, claim *core.PersistentVolumeClaim, volume *core.PersistentVolume) error {
	asked := claim.Spec.Resources.Requests[core.ResourceStorage]
	has := volume.Spec.Capacity[core.ResourceStorage]
	if asked.Cmp(has) > 0 {
		patch := fmt.Appendf(nil, `{"spec":{"capacity":{"storage":%q}}}`, asked.String())
		_, err := p.client.CoreV1().PersistentVolumes().Patch(ctx, volume.Name, types.MergePatchType, patch, meta.PatchOptions{})
		if err != nil {
			return err
		}
		has = asked
	}
	says := claim.Status.Capacity[core.ResourceStorage]
	if has.Cmp(says) <= 0 {
		return nil
	}
	// Without the conditions: none is left once it is resized.
	patch := fmt.Appendf(nil, `{"status":{"capacity":{"storage":%q},"conditions":null}}`, has.String())
	_, err := p.client.CoreV1().PersistentVolumeClaims(claim.Namespace).
		Patch(ctx, claim.Name, types.MergePatchType, patch, meta.PatchOptions{}, "status")
	if err == nil {
		log.Printf("claim %s/%s: now %s", claim.Namespace, claim.Name, has.String())
	}
	return err
}

// released removes a volume that nothing claims any more, with all in it.
func (p volumes) released(ctx context.Context, volume *core.PersistentVolume) error {
	if volume.Annotations[provisionedBy] != provisionerName || volume.Spec.ClaimRef == nil || volume.DeletionTimestamp != nil {
		return nil
	}
	if volume.Status.Phase != core.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
		return nil
	}
	path := filepath.Join(p.dir, string(volume.Spec.ClaimRef.UID))
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
	if err == nil {
		log.Printf("volume %s: removed", volume.Name)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
