package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// putImage names a file. The same name for the same content is a retry; for another content it is refused.
func (x *txn) putImage(op *statev1.PutImage) (proto.Message, error) {
	image := edit(op.GetImage())
	if before, ok := x.t.images.get(image.GetName()); ok {
		if before.GetSha256() == image.GetSha256() && before.GetFormat() == image.GetFormat() {
			return before, nil
		}
		return nil, fmt.Errorf("%w: image %q holds sha256 %s: choose another name, or delete it first", ErrExists, image.GetName(), before.GetSha256())
	}
	image.Revision, image.CreateTime = x.revision, x.now
	x.t.images.put(image.GetName(), image)
	x.changed(nil, image)
	return image, nil
}

func (x *txn) deleteImage(op *statev1.DeleteImage) (proto.Message, error) {
	image, ok := x.t.images.get(op.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: image %q", ErrNotFound, op.GetName())
	}
	for _, vm := range x.t.vms.after("") {
		if uses(vm, image) {
			return nil, fmt.Errorf("%w: image %q is used by virtual machine %s: delete that first", ErrRefused, image.GetName(), vm.GetSpec().GetName())
		}
	}
	x.t.images.delete(image.GetName())
	x.changed(image, nil)
	return image, nil
}

func uses(vm *novacronv1.VM, image *novacronv1.Image) bool {
	for _, ref := range vm.GetImages() {
		if ref.GetSha256() == image.GetSha256() {
			return true
		}
	}
	return false
}
