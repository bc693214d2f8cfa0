"""An ordinary Azure program: it knows a vault's address and a secret's name, and holds no credential at all."""

import hashlib
import os

from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

client = SecretClient(os.environ["VAULT_URL"], DefaultAzureCredential())
secret = client.get_secret(os.environ["SECRET_NAME"])
print("fingerprint", hashlib.sha256(secret.value.encode()).hexdigest()[:16])
