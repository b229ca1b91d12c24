//! The binary: arguments in, exit code out.

use std::process::ExitCode;

/// In place of the system's: docs/deploy.md compares them.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    trommel::cli::main()
}
