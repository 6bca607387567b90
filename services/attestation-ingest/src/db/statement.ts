/** A prepared statement: parsed and planned once for each connection. */
export interface Statement {
  name: string;
  text: string;
}
