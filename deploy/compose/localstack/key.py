# Run by LocalStack when it is ready: makes alias/pii.  The key has the same id and
# the same material every time, or what it wrapped couldn't be unwrapped any more.
import base64

import boto3

kms = boto3.client("kms", endpoint_url="http://localhost:4566", region_name="eu-west-1",
                   aws_access_key_id="development", aws_secret_access_key="development")
key = kms.create_key(Tags=[
    {"TagKey": "_custom_id_", "TagValue": "00000000-0000-4000-8000-000000000001"},
    {"TagKey": "_custom_key_material_", "TagValue": base64.b64encode(b"development " * 2 + b"material").decode()},
])
kms.create_alias(AliasName="alias/pii", TargetKeyId=key["KeyMetadata"]["KeyId"])
