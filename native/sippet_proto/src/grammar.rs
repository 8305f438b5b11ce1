//! Byte classes and token rules of §25.1.
