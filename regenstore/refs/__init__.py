"""What Git refers to: blobs by name, recipes at revisions, leases."""
