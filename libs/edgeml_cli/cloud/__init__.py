"""The cloud side of edgeml, a CloudFormation stack: `edgeml cloud deploy`, `destroy` and `estimate`.

`libs/edgeml_cli/cloud/template.yaml` defines its resources.
"""
