"""The cloud side: `scripts/cloud/deploy`, `destroy` and `volume`; what it consists of stands in `scripts/cloud/template.yaml`."""
