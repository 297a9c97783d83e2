/** Formats of strings that are held, as patterns: each text of one is valid, and not each valid text is of it. */
const DATE = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
const DATE_MORE = "[0-9]{4}-(((0[13-9]|1[0-2])-(29|30))|((0[13578]|1[02])-31))";
const TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
const BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const NAME = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const HEX = "[0-9a-f]";

export const STRING_FORMATS: Readonly<Record<string, string>> = {
  // Of February 28 days, so that no year has to be counted.
  date: `^(${DATE}|${DATE_MORE})$`,
  time: `^${TIME}$`,
  "date-time": `^(${DATE}|${DATE_MORE})T${TIME}$`,
  uuid: `^${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}$`,
  ipv4: `^${BYTE}(\\.${BYTE}){3}$`,
  hostname: `^${NAME}(\\.${NAME}){0,3}$`,
  email: `^[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,15})?@${NAME}(\\.${NAME}){1,3}$`,
};
