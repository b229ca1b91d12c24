//! The binary: arguments in, exit code out.

use std::process::ExitCode;

/// In place of musl's: docs/deploy.md compares them.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    trommel::cli::main()
}
