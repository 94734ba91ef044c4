"""The images, built and run for real: `make images` for all of them, `make test` for the short part.

Needs Linux, root, buildah and debootstrap (Debian packages); elsewhere the tests are skipped. No container engine's
daemon is needed, and no registry: the base is made from Debian's packages.
"""
