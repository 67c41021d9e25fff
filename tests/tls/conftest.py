import pytest
from tls_peers import Identity


@pytest.fixture(scope="session")
def rsa_identity(tmp_path_factory):
    return Identity(tmp_path_factory.mktemp("rsa"), "rsa")


@pytest.fixture(scope="session")
def ec_identity(tmp_path_factory):
    return Identity(tmp_path_factory.mktemp("ec"), "ec")
