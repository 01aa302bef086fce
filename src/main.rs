//! The `tidegate` program; all of it stands in the library beside.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate::main()
}
