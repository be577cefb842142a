"""The cloud side: `scripts/cloud/deploy`, `destroy` and `volume`; what it consists of stands in `libs/edgeml_cli/cloud/template.yaml`."""
