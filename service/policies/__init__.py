"""Policy documents: YAML that compliance officers write becomes the `Policy` that the core applies, or is refused."""

from service.policies.load import LoadedPolicy, load_file, load_files, load_resolved, policy_files
from service.policies.refusal import PolicyRefused

__all__ = ["LoadedPolicy", "PolicyRefused", "load_file", "load_files", "load_resolved", "policy_files"]
