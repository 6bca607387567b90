import { perform } from "./perform.ts";

/** What a thread of `Reader` runs. */
export default perform;
