//! Harness for the workspace tests.
