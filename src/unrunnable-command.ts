/** True for the exit codes with which a shell says that it cannot run a command: 126, it cannot be executed, and 127, it was not found. */
export const saysCannotRun = (exitCode: number | null | undefined): boolean => exitCode === 126 || exitCode === 127;
