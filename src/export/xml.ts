/**
 * XML in and out, through one library. Going out, attributes and text are escaped by it; coming in, entities are not
 * expanded, document types are refused, and size and depth are bounded.
 */
import { XMLBuilder, XMLParser, XMLValidator } from 'fast-xml-parser';
import { fileError } from '../errors.ts';

/** An element as data: attributes carry the prefix `@`, text the key `#`. */
export type XmlNode = { [name: string]: XmlValue };
export type XmlValue = string | number | XmlNode | (string | number | XmlNode)[] | undefined;

const MOST_BYTES = 4 * 1024 * 1024;
const DEEPEST = 64;

/** The document as indented text, with a final line feed. */
export function xmlText(document: XmlNode): string {
  const builder = new XMLBuilder({
    attributeNamePrefix: '@',
    textNodeName: '#',
    ignoreAttributes: false,
    format: true,
    indentBy: '  ',
    suppressEmptyNode: true,
    suppressBooleanAttributes: false,
  });
  return builder.build(document) as string;
}

/**
 * Parses a document into the same shape. @throws ApplicationError (exit code 2) with file and line for text that is
 * not well formed, has a document type (and so could define entities), is over 4 MiB or nests deeper than 64.
 */
export function parseXml(text: string, file: string): XmlNode {
  if (Buffer.byteLength(text) > MOST_BYTES) {
    throw fileError(
      `the document is over ${MOST_BYTES / 1048576} MiB`,
      { file },
      'no tool writes one of that size',
    );
  }
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) {
    const line = text.slice(0, text.search(/<!(DOCTYPE|ENTITY)/i)).split('\n').length;
    throw fileError(
      'a document type declaration is not taken',
      { file, line },
      'libvirt writes none: remove it',
    );
  }
  refuseDeepNesting(text, file);
  const verdict = XMLValidator.validate(text);
  if (verdict !== true) {
    throw fileError(
      `not well-formed XML: ${verdict.err.msg}`,
      { file, line: verdict.err.line },
      'check the line named',
    );
  }
  const parser = new XMLParser({
    attributeNamePrefix: '@',
    textNodeName: '#',
    ignoreAttributes: false,
    parseTagValue: false,
    parseAttributeValue: false,
    trimValues: true,
  });
  return parser.parse(text) as XmlNode;
}

function refuseDeepNesting(text: string, file: string): void {
  let depth = 0;
  for (const match of text.matchAll(/<(\/?)[A-Za-z_][^<>]*?(\/?)>/g)) {
    if (match[1] === '/') depth -= 1;
    else if (match[2] !== '/') depth += 1;
    if (depth > DEEPEST) {
      const line = text.slice(0, match.index).split('\n').length;
      throw fileError(
        `elements nest deeper than ${DEEPEST}`,
        { file, line },
        'no tool writes such a document',
      );
    }
  }
}

/** The child elements of a name, none, one or many, as a list. */
export function children(node: XmlValue, name: string): XmlNode[] {
  if (typeof node !== 'object' || Array.isArray(node)) return [];
  const value = node[name];
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map((item) =>
    typeof item === 'object' ? item : { '#': String(item) },
  );
}

/** The first child of a name. */
export function child(node: XmlValue, name: string): XmlNode | undefined {
  return children(node, name)[0];
}

/** An attribute as text. */
export function attribute(node: XmlNode | undefined, name: string): string | undefined {
  const value = node?.[`@${name}`];
  return value === undefined ? undefined : String(value);
}

/** The text of an element. */
export function textOf(node: XmlNode | undefined): string | undefined {
  const value = node?.['#'];
  return value === undefined ? undefined : String(value);
}
