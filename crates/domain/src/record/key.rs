//! Stored forms of keys and of their rotation policies.
