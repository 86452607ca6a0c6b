"""What Git refers to: blobs, recipes at revisions, roots, leases."""
