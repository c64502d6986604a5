//! Words too common to search for or to name anything: English, German and Russian function words.

use std::collections::HashSet;
use std::sync::LazyLock;

const ENGLISH: &str = "a about above after again against all also am an and any are as at be because been before \
    being below between both but by can cannot could did do does doing don down during each either else etc ever \
    every few for from further get gets got had has have having he hence her here hers herself him himself his how \
    however i if in into is it its itself just let like many may me might more most much must my myself neither no \
    nor not now of off often on once one only onto or other others our ours ourselves out over own per quite rather \
    same shall she should since so some such than that the their theirs them themselves then there therefore these \
    they this those though through thus to too under until up upon us very via was we were what when where whether \
    which while who whom whose why will with within without would yet you your yours yourself";
const GERMAN: &str = "aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes \
    auch auf aus bei beim bin bis bist da dabei dadurch daher damit dann daran darauf daraus darin das dass dazu \
    dein deine dem den denn der deren des dessen die dies diese diesem diesen dieser dieses doch dort du durch ein \
    eine einem einen einer eines einige er es etwa etwas euch euer eure für gegen gibt habe haben hat hatte hatten \
    hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im in indem ins ist ja jede jedem jeden jeder \
    jedes jedoch jetzt kann kein keine keinem keinen keiner können könnte man manche mehr mein meine mich mir mit \
    muss müssen nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit selbst sich \
    sie sind so sobald solche soll sollen sollte sondern sonst sowie über um und uns unser unsere unter viel viele \
    vom von vor war waren warum was weil welche welchem welchen welcher welches wenn wer werde werden wie wieder \
    will wir wird wo wurde wurden würde würden zu zum zur zwar zwischen";
const RUSSIAN: &str = "а без более больше будет будто бы был была были было быть в вам вас вдруг ведь во вот все \
    всегда всего всех всю вы где да даже два для до другой его ее ей ему если есть еще ж же за зачем здесь и из или \
    им иногда их к как какая какой когда конечно кто куда ли лучше между меня мне много может можно мой моя мы на \
    над надо наконец нас не него нее ней нельзя нет ни нибудь никогда ним них ничего но ну о об один он она они оно \
    опять от перед по под после потом потому почти при про раз разве с сам свою себе себя сейчас со совсем так такой \
    там тебя тем теперь то тогда того тоже только том тот три тут ты у уж уже хорошо хоть чего чей чем через что \
    чтобы чуть эта эти этим этих это этого этой этом этот эту я также которые который которая которое которых";

static STOP_WORDS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| [ENGLISH, GERMAN, RUSSIAN].into_iter().flat_map(str::split_whitespace).collect());

/// Whether a folded term is a function word of English, German or Russian.
pub fn is_stop_word(term: &str) -> bool {
    STOP_WORDS.contains(term)
}
