/** What the tests use of it; it comes without types. */
declare module "@20minutes/s3rver" {
  export default class S3rver {
    constructor(options: {
      address: string;
      port: number;
      directory: string;
      silent: boolean;
      vhostBuckets: boolean;
    });
    run(): Promise<{ port: number }>;
    close(): Promise<void>;
  }
}
