"""The cloud side: `edgeml cloud deploy`, `destroy` and `estimate`; what it consists of stands in `libs/edgeml_cli/cloud/template.yaml`."""
