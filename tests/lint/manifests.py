"""Every object of infra/ by Kubernetes' own schemas: ``python -m tests.lint.manifests``.

Prints each fault and exits with 1 where there is one. Run by ``make lint``.
"""

import sys

import kubernetes_validate

from tests.support.manifests import VERSIONS, is_custom, object_files, objects_of


def faults(files):
    """Return what is wrong with the objects of the files, one line each."""
    found = []
    for file in files:
        for one in objects_of(file):
            for version in VERSIONS if not is_custom(one) else ():
                try:
                    kubernetes_validate.validate(one, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    found.append(f"{file.name}: {error.message} (Kubernetes {version})")
    return found


def main():
    """Check all of them."""
    found = faults(object_files())
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
